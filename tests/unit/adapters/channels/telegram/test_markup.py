"""Markdown as Telegram's HTML, held against a parser that refuses what Telegram refuses."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.telegram.markup import UNNAMED, render_html, render_plain
from tests.fakes.platforms.telegram import parse_marked

MARKS = st.lists(
    st.sampled_from([*list("ab *_~`#[]()<>&@\n\\\"'/:."), "```", "https://", "**", "@bob"]), max_size=60
).map("".join)


@pytest.mark.parametrize(
    "text, html",
    [
        ("plain", "plain"),
        ("**bold** and *it* or _it_ and ~~gone~~", "<b>bold</b> and <i>it</i> or <i>it</i> and <s>gone</s>"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("snake_case_name and __init__", "snake_case_name and __init__"),
        ("`a < b`", "<code>a &lt; b</code>"),
        ("```py\nif a < b:\n    x**y**z\n```", '<pre><code class="language-py">if a &lt; b:\n    x**y**z</code></pre>'),
        ("```\nno end", "```\nno end"),
        ("[here](https://example.org/?a=1&b=2)", "here (https://example.org/?a=1&amp;b=2)"),
        ("[me](tg://user?id=1)", "[me](tg://user?id=1)"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("# Title\ntext", "<b>Title</b>\ntext"),
        ("<b>no</b> &lt;", "&lt;b&gt;no&lt;/b&gt; &amp;lt;"),
        ('<a href="tg://user?id=1">x</a>', '&lt;a href="tg://user?id=1"&gt;x&lt;/a&gt;'),
        ("ask @bob", f"ask {UNNAMED}bob"),
        ("mail bob@example.org", "mail bob@example.org"),
        ("`@bob`", "<code>@bob</code>"),
    ],
)
def test_the_subset(text: str, html: str) -> None:
    assert render_html(text) == html


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MARKS)
def test_what_is_rendered_is_accepted_and_names_nobody(text: str) -> None:
    shown, pings = parse_marked(render_html(text), "HTML")
    assert pings == ()
    # Only signs of the markup may go, and only joiners may come.
    kept = "".join(char for char in shown if char not in "*_~`# ()[]\n\u2060")
    given_ = "".join(char for char in text if char not in "*_~`# ()[]\n")
    assert kept == given_ or "```" in text  # the language of a block is no word of it


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_is_accepted(text: str) -> None:
    assert parse_marked(render_html(text), "HTML")[1] == ()
    assert parse_marked(render_plain(text), "")[1] == ()


def test_long_hostile_texts_are_rendered_soon() -> None:
    for unit in ("**a", "_a ", "`a", "[a](", "```\n", "# ", "@", "~~x"):
        assert len(render_html(unit * 1_300)) >= 1_300
