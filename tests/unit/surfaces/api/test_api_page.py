"""The page at /: calm, without scripts, and nothing from outside on it unescaped."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urlencode

from carapax.surfaces.api.page import refused_page, token_page
from tests.unit.surfaces.api.served import Reply, Served


def sign_in(served: Served, code: str, origin: str | None = None) -> Reply:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin or served.url}
    return served.call("POST", "/signin", raw=urlencode({"code": code}).encode(), token="", headers=headers)


def test_the_front_page_needs_no_token_and_holds_no_script(served: Served) -> None:
    page = served.call("GET", "/", token="")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<form method="post" action="/signin">' in page.text
    assert "prefers-color-scheme: dark" in page.text
    assert not re.search(r"<script|javascript:|\son[a-z]+=|style=|<img|<link|https?://", page.text)


def test_the_policy_allows_exactly_the_pages_style(served: Served) -> None:
    page = served.call("GET", "/", token="")
    style = re.search(r"<style>(.*)</style>", page.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]


def test_the_form_shows_the_token_once(served: Served) -> None:
    page = sign_in(served, "qx4-7rm")
    assert page.status == 200
    value = re.search(r"<pre>(cpx_\w+)</pre>", page.text)
    assert value is not None
    assert f"{served.url}/v1" in page.text
    assert served.call("GET", "/v1/models", token=value[1]).status == 200
    again = sign_in(served, "QX4-7RM")
    assert again.status == 401
    assert "cpx_" not in again.text
    assert "Not signed in" in again.text


def test_the_form_is_not_for_other_pages(served: Served) -> None:
    assert sign_in(served, "QX4-7RM", origin="https://evil.example").status == 403
    assert sign_in(served, "QX4-7RM", origin="null").status == 403
    assert served.gateway.code == "QX4-7RM"


def test_too_many_wrong_codes_wait(served: Served) -> None:
    for _ in range(10):
        assert sign_in(served, "AAA").status == 401
    page = sign_in(served, "QX4-7RM")
    assert page.status == 429
    assert page.headers["retry-after"] == "60"


def test_what_comes_from_outside_is_escaped() -> None:
    for page in (token_page("<b>", "<i>"), refused_page("<b>", "<i>", 400)):
        assert b"<b>" not in page.body and b"<i>" not in page.body
