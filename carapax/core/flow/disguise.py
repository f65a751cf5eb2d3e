"""Disguises: why a value may look like another one to the person who reads it.

Layer: core/flow. Owns one sentence for an approval card; it decides nothing, matching is exact anyway.
Absent: ASCII look-alikes ("rn" and "m", "l" and "1"): every second word would be marked.
Source: Unicode TR 36 and 39 (scripts by character name, for the standard library has no script table).
"""

from __future__ import annotations

import re
import unicodedata

from carapax.core.flow.links import is_link
from carapax.core.flow.origin import hidden_characters

_SCRIPTS = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "HEBREW", "ARABIC", "LISU"}
)
_LOOK_LATIN = frozenset("асеорхуіјѕԁԛԝһӏѵӕгкмнтвпьꙇοναρυικτχωγηßօսոցհ" + "АВЕКМНОРСТХІЈЅԌԚԜΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
"""Cyrillic, Greek and Armenian letters that print like Latin ones."""

_WORD = re.compile(r"[^\W\d_]+")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//(?P<all>[^/?#\\]*)")
_AT_SIGNS = re.compile("[\uff20\ufe6b]")


def disguise(value: str) -> str:
    """One short sentence why the value may mislead a reader, or ""."""
    host = _host(value)
    return (
        _unseen(value)
        or _address_tricks(value, host)
        or _compatibility(value)
        or next((said for label in host.split(".") if (said := _label(label))), "")
        or _mixed(value)
    )


def _host(value: str) -> str:
    """The host part of a link or an address, "" when the value has none."""
    if found := _AUTHORITY.match(value.strip()):
        return re.sub(r":[0-9]*\Z", "", found["all"].rpartition("@")[2])
    bare = value.strip().strip("<>")
    if "@" in bare and " " not in bare and not bare.startswith("@"):
        return re.split(r"[/?#:\\]", bare.rpartition("@")[2])[0]
    return re.split(r"[/?#:]", bare)[0] if is_link(bare) or is_link(bare.rstrip(".")) else ""


def _unseen(value: str) -> str:
    hidden = hidden_characters(value)
    if hidden:
        return f"It holds characters that do not show: {', '.join(hidden[:4])}."
    if value != value.strip():
        return "It begins or ends with a space."
    return ""


def _address_tricks(value: str, host: str) -> str:
    authority = _AUTHORITY.match(value)
    if authority and "@" in authority["all"]:
        return f'What stands before "@" is not the host; the host is {host or "empty"}.'
    if _AT_SIGNS.search(value):
        return 'It holds a sign that only looks like "@".'
    if host and "\\" in value:
        return "It holds a backslash, which programs read as a slash."
    if not authority and value.count("@") > 1 and " " not in value:
        return 'It holds more than one "@".'
    if host.endswith("."):
        return "Its host ends with a dot."
    return ""


def _compatibility(value: str) -> str:
    odd = [c for c in value if unicodedata.decomposition(c).startswith(("<wide>", "<font>", "<small>", "<circle>"))]
    return f"It holds signs that only look like plain ones: {odd[0]} for {_plain(odd[0])}." if odd else ""


def _plain(sign: str) -> str:
    return unicodedata.normalize("NFKC", sign)


def _label(label: str) -> str:
    if label.lower().startswith("xn--"):
        return f"Its host is written in code (punycode): {_decoded(label)}."
    if any(unicodedata.combining(c) for c in unicodedata.normalize("NFC", label)):
        return "Its host holds marks that sit on other letters."
    if "。" in label or "｡" in label:
        return "Its host holds a sign that only looks like a dot."
    letters = [c for c in label if c.isalpha() and not c.isascii()]
    if letters and all(c in _LOOK_LATIN for c in letters) and len(letters) == sum(c.isalpha() for c in label):
        return f'"{label}" looks like plain letters, but its letters are {_script(letters[0]).capitalize()}.'
    return ""


def _decoded(label: str) -> str:
    try:
        return f"{label} is {label[4:].encode('ascii').decode('punycode')}"
    except UnicodeError:
        return label


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _mixed(value: str) -> str:
    if value.isascii():
        return ""
    for word in _WORD.findall(unicodedata.normalize("NFC", value)):
        scripts = sorted({_script(c) for c in word} & _SCRIPTS)
        if len(scripts) > 1:
            return f'"{word[:40]}" mixes letters of {" and ".join(s.capitalize() for s in scripts)}.'
    return ""
