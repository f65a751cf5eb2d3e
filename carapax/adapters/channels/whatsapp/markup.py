"""A small Markdown in WhatsApp's own signs.

Layer: adapters/channels; pure. Owns the subset: bold, strike, headings, code blocks; a link is its text and address.
Absent: escaping, which WhatsApp does not have; texts of the Cloud API name and notify nobody.
Laws: code stays as it is; no text grows. Source: faq.whatsapp.com, "How to format your messages".
"""

from __future__ import annotations

import re

_CODE = re.compile(r"^```[A-Za-z0-9+#_.-]{0,30}[ \t]*\n(.*?)\n?^```[ \t]*$|(`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\[\]\n]{1,500})\]\((https?://[^\s()<>]{1,1000})\)")
_BOLD = re.compile(r"(?<![\w*])\*\*(?=\S)([^\n*]{1,2000}?)(?<=\S)\*\*(?![\w*])")
_STRIKE = re.compile(r"(?<![\w~])~~(?=\S)([^\n~]{1,2000}?)(?<=\S)~~(?![\w~])")
_ITALIC = re.compile(r"(?<![\w*])\*(?=\S)([^\n*]{1,2000}?)(?<=\S)\*(?![\w*])")
_HEADING = re.compile(r"^#{1,6} +(\S[^\n*]*)$", re.MULTILINE)


def render_text(text: str) -> str:
    """Text as a model wrote it, as WhatsApp shows it best."""
    made = []
    at = 0
    for code in _CODE.finditer(text):
        made.append(_render_words(text[at : code.start()]))
        made.append(code[2] or f"```{code[1]}```")
        at = code.end()
    made.append(_render_words(text[at:]))
    return "".join(made)


def _render_words(text: str) -> str:
    kept = _LINK.sub(r"\1 (\2)", text)
    # Italics first: WhatsApp's bold is what Markdown's italics look like.
    kept = _ITALIC.sub(r"_\1_", kept)
    kept = _HEADING.sub(r"*\1*", kept)
    kept = _STRIKE.sub(r"~\1~", kept)
    return _BOLD.sub(r"*\1*", kept)
