"""Markdown as models write it, into the HTML that Matrix clients show.

Layer: adapters/channels/matrix; pure. Owns a small subset: code, bold, italic; a link becomes its text and its address.
Law: every character of the text comes out escaped; the only tags are the ones made here. Source: spec v1.11, m.room.message.
"""

from __future__ import annotations

import re
from html import escape

_FENCE = re.compile(r"^```([A-Za-z0-9_+-]{0,20})[ \t]*\n(.*?)(?:\n```[ \t]*$|\Z)", re.M | re.S)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^\s()]{1,2000})\)")
_BOLD = re.compile(r"\*\*(?=\S)([^\n]{1,2000}?)(?<=\S)\*\*")
_STAR = re.compile(r"(?<![*\w])\*(?=[^\s*])([^*\n]{1,2000}?)(?<=\S)\*(?![*\w])")
_LINE = re.compile(r"(?<![_\w])_(?=[^\s_])([^_\n]{1,2000}?)(?<=\S)_(?![_\w])")


def render_html(text: str) -> str:
    """The text as HTML; "" when it holds no markup, so that plain words suffice."""
    made: list[str] = []
    at = 0
    for block in _FENCE.finditer(text):
        made.append(_prose(text[at : block.start()]))
        language = f' class="language-{block[1]}"' if block[1] else ""
        made.append(f"<pre><code{language}>{escape(block[2], quote=False)}\n</code></pre>")
        at = block.end()
    made.append(_prose(text[at:]))
    html = "".join(made)
    return "" if html == _plain(text) else html


def _prose(text: str) -> str:
    made: list[str] = []
    at = 0
    for code in _CODE.finditer(text):
        made += [_spans(text[at : code.start()]), f"<code>{escape(code[1], quote=False)}</code>"]
        at = code.end()
    return "".join([*made, _spans(text[at:])])


def _spans(text: str) -> str:
    html = _plain(_LINK.sub(r"\1 (\2)", text))
    for pattern, tag in ((_BOLD, "strong"), (_STAR, "em"), (_LINE, "em")):
        html = pattern.sub(rf"<{tag}>\1</{tag}>", html)
    return html


def _plain(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")
