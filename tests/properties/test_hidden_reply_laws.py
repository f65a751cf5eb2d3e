"""Laws of hidden text and of replies: at rest after one go, never an exception, nothing visible lost, nothing live left."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.core.flow.hidden import Media, strip_hidden
from carapax.core.flow.markup import code_regions
from carapax.core.flow.reply import render_reply
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source

PIECES = st.sampled_from(
    [
        *(
            "<div hidden>",
            "</div>",
            "<!--",
            "-->",
            "<",
            ">",
            "<b>",
            "</b>",
            '<a href="',
            "<img src=",
            "'",
            '"',
            "<script>",
        ),
        *("</script>", "<style>.q{display:none}</style>", "<p class=q>", "&#x200b;", "&lt;", "&", "#x200b;", "\u200b"),
        *(
            "\U000e0041",
            "\ufe0f",
            "\u200d",
            "😀",
            "ا",
            "\u00ad",
            "`",
            "``",
            "```\n",
            "~~~\n",
            "\n",
            "\n\n",
            " ",
            "- ",
            "> ",
        ),
        *(
            "[",
            "]",
            "(",
            ")",
            "![",
            "](",
            "]:",
            "[r]: ",
            "[r]",
            "http://evil.example/q",
            "https://good.example/p",
            "//",
        ),
        *(
            "www.evil.example",
            "&colon;",
            "\\",
            "|",
            "data:",
            "javascript:",
            "x",
            "word",
            "<http:",
            "https:",
            "a@b.example",
        ),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=60))
MEDIA = st.sampled_from(["text", "html", "markdown"])
CLEAN = Label(Integrity.USER, OWNER_ONLY)
TAINTED = Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset({Source("tool", "c1", "read_mail"), Source("file", "a.txt")}))
ADDRESS = re.compile(r"(?i)https?:[\\/]+([^\s/<>\"`]+)[^\s<>\"`]*")


def endorsed(address: str) -> bool:
    return re.match(r"https://good\.example(?=[/?#]|$)", address) is not None


@settings(max_examples=300, deadline=None)
@given(TEXTS, MEDIA)
def test_hidden_text_is_gone_after_one_go(text: str, media: Media) -> None:
    shown = strip_hidden(text, media)
    assert strip_hidden(shown.text, media).text == shown.text


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_visible_ascii_is_not_touched(text: str) -> None:
    assert strip_hidden(text).text == text
    assert strip_hidden(text).hidden == ()


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from([CLEAN, TAINTED]))
def test_a_reply_is_at_rest_after_one_go(text: str, label: Label) -> None:
    once = render_reply(text, label, endorsed)
    assert render_reply(once.text, label, endorsed).text == once.text


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from([CLEAN, TAINTED]))
def test_no_unendorsed_address_survives_outside_code(text: str, label: Label) -> None:
    shown = render_reply(text, label, endorsed).text
    regions = code_regions(shown)
    for found in ADDRESS.finditer(shown):
        inside = any(start <= found.start() < end for start, end in regions)
        assert inside or endorsed("https://" + found.group(1)), shown


@given(st.text(alphabet="abc \n*_#>-1.,()", max_size=120))
def test_a_clean_reply_without_links_is_the_same_bytes(text: str) -> None:
    assert render_reply(text, CLEAN, lambda _: True).text == text


@given(st.lists(PIECES, max_size=14).map("".join))
def test_code_regions_are_in_order_and_apart(text: str) -> None:
    last = 0
    for start, end in code_regions(text):
        assert last <= start < end <= len(text)
        last = end
