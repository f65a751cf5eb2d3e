"""Bindings: what is taken, and every spelling that could mean more than one host."""

from __future__ import annotations

from typing import Any

import pytest

from carapax.adapters.vault.binding import (
    FRAMING,
    make_binding,
    parse_binding,
    parse_place,
    plain_binding,
    service_binding,
)
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import Malformed


def test_a_plain_binding_is_exact_and_everything_is_said() -> None:
    assert make_binding("svc", "API.Example.org") == Binding("svc", "api.example.org")
    full = make_binding(
        "svc", "10.0.0.7", port=8443, methods=("post", "GET", "get"), path="/v1/", header="X-Api-Key", prefix="", body=True
    )  # fmt: skip
    assert full == Binding("svc", "10.0.0.7", 8443, ("GET", "POST"), "/v1/", "x-api-key", "", True)
    assert parse_binding("svc", plain_binding(full)) == full


HOSTS = [
    "", "*", "*.example.org", "a..b", ".a", "a.", "a.example.org.", "https://a.example", "a.example/x", "a b", "a@b",
    "a:443", "exämple.org", "%61.example", "0x7f.1", "127.1", "2130706433", "1.2.3", "1.2.3.4.5", "a\n", "-a.b", "a-.b",
    "x" * 64 + ".org", "a." * 130 + "b", "[::1]", "fe80::1%eth0", "a,b",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_no_exact_host_is_refused(host: str) -> None:
    with pytest.raises(Malformed):
        make_binding("svc", host)


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0}, {"port": 65_536}, {"port": -1}, {"methods": ("CONNECT",)}, {"methods": ("trace",)},
        {"methods": ("GET\r",)}, {"methods": ("",)}, {"methods": tuple("ABCDEFGHIJKLMNOPQ")}, {"path": ""}, {"path": "v1"},
        {"path": "/a/../b"}, {"path": "/./a"}, {"path": "//a"}, {"path": "/a//b"}, {"path": "/a?b=1"}, {"path": "/a#b"},
        {"path": "/%61"}, {"path": "/a b"}, {"path": "/" + "a" * 1024}, {"path": "/a\\b"}, {"prefix": "a\r\nx: y"},
        {"prefix": "é"}, {"prefix": "x" * 65}, {"header": ""}, {"header": "a b"}, {"header": "a:b"}, {"header": "a\n"},
        *({"header": name} for name in sorted(FRAMING)), {"header": "Host"},
    ],
)  # fmt: skip
def test_what_could_steer_more_than_a_credential_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        make_binding("svc", "a.example", **change)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.example", ("a.example", 443)), ("A.example:8443", ("a.example", 8443)), ("[::1]:80", ("::1", 80)),
        ("::1", ("::1", 443)), ("[2001:DB8::1]", ("2001:db8::1", 443)), ("10.0.0.1:1", ("10.0.0.1", 1)),
    ],
)  # fmt: skip
def test_a_place_as_typed(text: str, place: tuple[str, int]) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["", "a.example:", "a:b", "a.example:123456", "a.example:٣", "[::1", ":443", "a:1:2"])
def test_a_poor_place_is_refused(text: str) -> None:
    if text == "a.example:":  # an empty port is none, as in a URL
        assert parse_place(text) == ("a.example", 443)
        return
    with pytest.raises(Malformed):
        parse_place(text)


def test_a_known_service_is_bound_to_its_own_host() -> None:
    assert service_binding("openai", "https://api.openai.example/v1") == Binding("openai", "api.openai.example")
    found = service_binding("anthropic", "https://api.anthropic.example", "x-api-key")
    assert found == Binding("anthropic", "api.anthropic.example", header="x-api-key", prefix="")
    assert service_binding("ollama", "http://127.0.0.1:11434/v1") is None and service_binding("compatible", "") is None


@pytest.mark.parametrize(
    "change", [{"host": "A.example"}, {"port": "443"}, {"port": True}, {"methods": "GET"}, {"more": 1}, {"header": None},
               {"methods": ["GET", "GET"]}, {"body": 1}, {"host": 7}],
)  # fmt: skip
def test_what_make_binding_would_not_have_made_is_not_read_back(change: dict[str, Any]) -> None:
    good = plain_binding(make_binding("svc", "a.example"))
    assert parse_binding("svc", good) is not None
    assert parse_binding("svc", {**good, **change}) is None
