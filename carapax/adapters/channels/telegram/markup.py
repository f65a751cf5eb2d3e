"""A small Markdown as Telegram's HTML, with everything else escaped.

Layer: adapters/channels; pure. Owns the subset: bold, italic, strike, code, code blocks; a link is its text and address.
Law: without the tags, the result shows the words that went in; no text of a model names anybody (a mention would
notify) and no tag of its own gets through. Source: core.telegram.org/bots/api#html-style.
"""

from __future__ import annotations

import re
from html import escape

_BLOCK = re.compile(r"^```([A-Za-z0-9+#_.-]{0,30})[ \t]*\n(.*?)\n?^```[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^\s()<>]{1,1000})\)")
_MARKS = (
    (re.compile(r"(?<![\w*])\*\*(?=\S)([^\n*<>]{1,2000}?)(?<=\S)\*\*(?![\w*])"), "b"),
    (re.compile(r"(?<![\w~])~~(?=\S)([^\n~<>]{1,2000}?)(?<=\S)~~(?![\w~])"), "s"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^\n*<>]{1,2000}?)(?<=\S)\*(?![\w*])"), "i"),
    (re.compile(r"(?<![\w_])_(?=\S)([^\n_<>]{1,2000}?)(?<=\S)_(?![\w_])"), "i"),
)
_HEADING = re.compile(r"^#{1,6} +(\S.*)$", re.MULTILINE)
# A word joiner after the sign: Telegram then sees no name, and people see no difference.
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9_])")
UNNAMED = "@\u2060"


def render_html(text: str) -> str:
    """Text as a model wrote it, as Telegram's HTML."""
    made = []
    at = 0
    for block in _BLOCK.finditer(text):
        made.append(_render_lines(text[at : block.start()]))
        language = f' class="language-{escape(block[1])}"' if block[1] else ""
        made.append(f"<pre><code{language}>{escape(block[2], quote=False)}</code></pre>")
        at = block.end()
    made.append(_render_lines(text[at:]))
    return "".join(made)


def _render_lines(text: str) -> str:
    made = []
    at = 0
    for code in _CODE.finditer(text):
        made.append(_render_words(text[at : code.start()]))
        made.append(f"<code>{escape(code[1], quote=False)}</code>")
        at = code.end()
    made.append(_render_words(text[at:]))
    return "".join(made)


def _render_words(text: str) -> str:
    kept = escape(_MENTION.sub(UNNAMED, text), quote=False)
    kept = _LINK.sub(r"\1 (\2)", kept)
    kept = _HEADING.sub(r"<b>\1</b>", kept)
    for pattern, tag in _MARKS:
        kept = pattern.sub(rf"<{tag}>\1</{tag}>", kept)
    return kept


def render_plain(text: str) -> str:
    """The same words without any markup, for a text that Telegram's parser refuses."""
    return _MENTION.sub(UNNAMED, text)
