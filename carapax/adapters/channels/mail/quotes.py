"""What a mail's writer wrote, and what the mail quotes of others.

Layer: adapters/channels/mail; pure. Law: every line of a mail ends in exactly one of the two, but the lines that announce
a quotation go with it.
"""

from __future__ import annotations

import re

_ANNOUNCE = re.compile(
    r"(?:on\b.{4,200}\bwrote|le\b.{4,200}\ba écrit|am\b.{4,200}\bschrieb.{0,100}|el\b.{4,200}\bescribió)\s*:?\s*",
    re.IGNORECASE,
)
_REST = re.compile(
    r"\s*-{2,}\s*(?:original message|message d'origine|forwarded message|message transféré|ursprüngliche nachricht)\s*-{2,}\s*"
    r"|begin forwarded message:\s*|début du message transféré\s*:\s*",
    re.IGNORECASE,
)
_OUTLOOK = re.compile(r"(?:from|de|von)\s?:\s.{1,300}", re.IGNORECASE)
_OUTLOOK_NEXT = re.compile(r"(?:sent|date|envoyé|gesendet|to|à)\s?:\s", re.IGNORECASE)


def split_quoted(text: str) -> tuple[str, str]:
    """A mail's own words, and those it quotes (replied to or forwarded)."""
    lines = text.replace("\r\n", "\n").split("\n")
    own: list[str] = []
    quoted: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if _REST.fullmatch(line[:400]) or _is_outlook(lines, at):
            quoted += lines[at:]
            break
        announced = _announced(lines, at)
        if announced:
            quoted += lines[at : at + announced]
            at += announced
        elif line.startswith(">"):
            quoted.append(line)
            at += 1
        else:
            own.append(line)
            at += 1
    return "\n".join(own).strip(), "\n".join(quoted).strip()


def _announced(lines: list[str], at: int) -> int:
    """How many lines announce the quotation that follows them; 0 when none does."""
    for count in (1, 2):
        head = " ".join(line.strip() for line in lines[at : at + count])
        if not head or len(head) > 400 or not _ANNOUNCE.fullmatch(head):
            continue
        following = [line for line in lines[at + count : at + count + 3] if line.strip()]
        if following and following[0].startswith(">"):
            return count
    return 0


def _is_outlook(lines: list[str], at: int) -> bool:
    if not _OUTLOOK.fullmatch(lines[at][:400]):
        return False
    return any(_OUTLOOK_NEXT.match(line) for line in lines[at + 1 : at + 3])
