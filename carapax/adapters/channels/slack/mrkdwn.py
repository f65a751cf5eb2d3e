"""Slack's mrkdwn: what a model writes as Markdown, rendered; what people send, read.

Layer: adapters/channels; pure. Absent: tables and nested lists, which stay as they were written.
Law: & < > of a text never reach Slack unescaped, so no text mentions a person, a channel or everybody.
Source: docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"```(?:[\w+-]*\n)?(.*?)(?:```|\Z)|`([^`\n]+)`", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]\n]{1,1000})\]\((\S{1,2000}?)\)")
_BOLD = re.compile(r"\*\*(?=\S)([^\n]{1,2000}?)(?<=\S)\*\*|\b__(?=\S)([^\n]{1,2000}?)(?<=\S)__\b")
_ITALIC = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]{1,2000}?)(?<=\S)\*(?![\w*])")
_STRIKE = re.compile(r"~~(?=\S)([^\n]{1,2000}?)(?<=\S)~~")
_HEADING = re.compile(r"^#{1,6}[ \t]+([^\n]{1,500})$", re.MULTILINE)
_BULLET = re.compile(r"^([ \t]*)[-*][ \t]+", re.MULTILINE)
_ANGLE = re.compile(r"<([^<>\n]{1,3000})>")
_BOLD_MARK = "\x01"  # stands for a bold asterisk until italics are found; plain text never has it


def render_text(markdown: str) -> str:
    """Markdown to mrkdwn: bold, italic, struck, code, headings, bullets; a link becomes its text and its address."""
    out: list[str] = []
    at = 0
    for found in _CODE.finditer(markdown):
        out.append(_prose(markdown[at : found.start()]))
        block, inline = found.groups()
        out.append(f"`{escape(inline)}`" if block is None else f"```\n{escape(block)}```")
        at = found.end()
    out.append(_prose(markdown[at:]))
    return "".join(out)


def escape(text: str) -> str:
    """The three characters that Slack's control sequences are made of."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def read_text(mrkdwn: str, me: str) -> str:
    """What somebody wrote as people read it: links with their addresses, mentions as @ID; the agent's own is left out."""
    return unescape(_ANGLE.sub(lambda found: _angle(found.group(1), me), mrkdwn)).strip()


def _prose(text: str) -> str:
    text = escape(text.replace(_BOLD_MARK, ""))
    text = _LINK.sub(lambda found: f"{found.group(1)} ({found.group(2)})", text)
    text = _BULLET.sub(r"\1• ", text)
    text = _HEADING.sub(lambda found: f"{_BOLD_MARK}{found.group(1).replace('**', '')}{_BOLD_MARK}", text)
    text = _BOLD.sub(lambda found: f"{_BOLD_MARK}{found.group(1) or found.group(2)}{_BOLD_MARK}", text)
    text = _ITALIC.sub(r"_\1_", text)
    text = _STRIKE.sub(r"~\1~", text)
    return text.replace(_BOLD_MARK, "*")


def _angle(inner: str, me: str) -> str:
    target, _, label = inner.partition("|")
    match target[:1]:
        case "@":
            return "" if me and target[1:] == me else f"@{label or target[1:]}"
        case "#":
            return f"#{label or target[1:]}"
        case "!":
            return label or f"@{target[1:].partition('^')[0]}"
        case _:
            return f"{label} ({target})" if label and label != target.removeprefix("mailto:") else target
