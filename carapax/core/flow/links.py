"""Links and e-mail addresses in a text, and the one form that equal ones share.

Layer: core/flow. Owns how an address or a link is cut out of words: always the longest run, never a part of one.
Absent: fetching, name look-ups, IDNA mapping (its 2003 tables erase zero-width letters and turn "ß" into "ss").
Source: RFC 3986 section 6.2, RFC 3492.
Laws: a form is its own form; whatever is not ASCII never becomes ASCII, except as punycode; time is linear.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_MAX_LABEL = 63
_MAX_INNER = 16
"""Schemes looked at inside one run of characters; a bound on work."""

_PORTS = {"http": "80", "https": "443"}
_ASCII_DOUBLES = re.compile("[\u037e\u1fef\u212a]")
"""Characters that NFC turns into ASCII: the Greek question mark, the varia, the Kelvin sign."""

FILE_ENDINGS = frozenset(
    re.findall(
        r"\w+",
        "7z apk avi bak bat bin bmp bz2 c cc cfg conf cpp crt cs css csv dat db diff dll dmg doc docx eml env exe gif go gz h"
        " hpp htm html ics ini ipynb iso jar java jpeg jpg js json jsonl jsx key kt lock log lua md mkv mov mp3 mp4 odp ods"
        " odt patch pdf pem php pl png ppt pptx ps1 py pyc rar rb rs rst rtf sh sql sqlite svg swift tar tex tgz tif tiff"
        " tmp toml ts tsv tsx txt wav webm webp whl xls xlsx xml xz yaml yml zip zsh",
    )
)
"""What ends a file's name more often than a host's."""

_DOT = r"[.\u3002\uff0e\uff61]"
_LABEL = r"[\w\-\u00ad\u0300-\u036f\u0900-\u0eff\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
_TOP = r"(?:[Xx][Nn]--[A-Za-z0-9\-]{2,59}|[^\W\d_]{2,24})"
_HOST = rf"{_LABEL}++(?:{_DOT}{_LABEL}++)*+(?<={_LABEL})"
_BARE = re.compile(rf"(?P<host>{_HOST})(?P<port>:[0-9]{{1,5}})?+(?P<rest>[/?#].*)?+", re.DOTALL)
_BARE_INSIDE = re.compile(rf"(?<!{_LABEL})(?<!{_DOT}){_BARE.pattern}", re.DOTALL)
_TOP_END = re.compile(rf"{_DOT}(?P<top>{_TOP})\Z")
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{0,30}://")
_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30})://)?(?P<user>[^/?#]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*|)(?P<query>\?[^#]*|)(?P<fragment>#.*|)"
)
_NO_URL = re.compile(r"[\s\\\x00-\x1f\x7f<>\"]")
_ADDRESS = re.compile(r"(?P<local>[^\s@<>,;:\"\\/()\[\]]+)@(?P<domain>[^\s@<>,;:\"\\/()\[\]?#&=%]+)")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")

_RUN = re.compile(r"[^\s<>\"`{}|^“”«»„\\]+")
_PARTS = re.compile(r"\]\(|[,;](?=[A-Za-z][A-Za-z0-9+.\-]{0,30}://)")
_LINK_MARK = re.compile("[.:/\u3002\uff0e\uff61]")
_MAIL_MARK = re.compile("@")
_ADDRESS_ENDS = re.compile(r"[,;:()\[\]]")
_AFTER = ".,;:!?*'’‘…。)]"
_BEFORE = "([*'‘’"


def fold(text: str) -> str:
    """The text in small letters and NFC; a letter that merely normalises to an ASCII one stays apart from it."""
    if text.isascii():
        return text.lower()
    kept = _ASCII_DOUBLES.sub("\ufffd\\g<0>", text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", kept).lower())


def host_form(host: str) -> str:
    """The host in small letters, its other scripts as punycode; a trailing dot stays."""
    return ".".join(_label_form(label) for label in fold(host).split("."))


def _label_form(label: str) -> str:
    if label.isascii() or len(label) > _MAX_LABEL:
        return label
    return "xn--" + label.encode("punycode", "replace").decode("ascii")


def address_form(value: str) -> str | None:
    """The one form of an e-mail address, or None; "mailto:" and angle brackets around it mean the same."""
    bare = value.strip()
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1]
    if bare[:7].lower() == "mailto:":
        bare = bare[7:]
    found = _ADDRESS.fullmatch(bare)
    return f"{fold(found['local'])}@{host_form(found['domain'])}" if found else None


def url_forms(value: str) -> tuple[str, ...]:
    """The forms of a URL: one with its scheme; https and http when it has none; () when it is no URL."""
    found = None if _NO_URL.search(value) else _URL.fullmatch(value)
    if found is None:
        return ()
    if found["scheme"]:
        return (_render(found, found["scheme"].lower()),)
    if found["user"] or not (_is_host(found["host"]) or found["host"].lower() == "localhost"):
        return ()
    return tuple(_render(found, scheme) for scheme in ("https", "http"))


def _render(found: re.Match[str], scheme: str) -> str:
    port = found["port"].lstrip("0") if found["port"] else ""
    port = f":{port}" if port and port != _PORTS.get(scheme) else ""
    path = _resolve(_unescape(found["path"]))
    tail = _unescape(found["query"]) + _unescape(found["fragment"])
    return f"{scheme}://{found['user'] or ''}{host_form(found['host'])}{port}{path}{tail}"


def _unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        letter = chr(int(found[1], 16))
        return letter if _UNRESERVED.fullmatch(letter) else found[0].upper()

    return _ESCAPE.sub(one, text)


def _resolve(path: str) -> str:
    kept: list[str] = []
    parts = path.split("/")[1:]
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    if parts and parts[-1] in {".", ".."}:
        kept.append("")
    whole = "/" + "/".join(kept)
    return "" if whole == "/" else whole


def _is_host(host: str) -> bool:
    return _TOP_END.search(host) is not None or _IPV4.fullmatch(host) is not None


def is_link(value: str) -> bool:
    """Whether the whole value is one link as people write it: a scheme, "www.", a path, or a plain host name."""
    if _SCHEME.match(value):
        return True
    found = _BARE.fullmatch(value)
    return found is not None and _is_bare_link(found)


def _is_bare_link(found: re.Match[str]) -> bool:
    host, port, rest = found["host"], found["port"], found["rest"]
    if _IPV4.fullmatch(host):
        return bool(port or rest)
    top = _TOP_END.search(host)
    if top is None:
        return False
    return bool(rest) or host[:4].lower() == "www." or top["top"].lower() not in FILE_ENDINGS


def _trim(run: str) -> str:
    """Without the punctuation of the sentence around it; a bracket that the run itself opens stays."""
    run = run.lstrip(_BEFORE)
    end, opened, closed = len(run), run.count("("), run.count(")")
    square, squared = run.count("["), run.count("]")
    while end and run[end - 1] in _AFTER:
        last = run[end - 1]
        if (last == ")" and opened >= closed) or (last == "]" and square >= squared):
            break
        closed -= last == ")"
        squared -= last == "]"
        end -= 1
    run = run[:end]
    return run[:-2] if run.endswith(("'s", "’s")) else run


def _runs(text: str, marks: re.Pattern[str]) -> Iterator[str]:
    for word in filter(marks.search, dict.fromkeys(text.split())):
        for found in _RUN.finditer(word):
            yield from map(_trim, _PARTS.split(found[0]))


def whole_links(text: str) -> tuple[str, ...]:
    """Every link that stands in the text as a whole run of characters, in order, once each."""
    return tuple(dict.fromkeys(link for run in _runs(text, _LINK_MARK) for link in _whole(run)))


def _whole(run: str) -> Iterator[str]:
    if is_link(run) and not _SCHEME.match(run):
        yield run
    elif (scheme := _SCHEME.search(run)) and "/" not in run[: scheme.start()]:
        yield run[scheme.start() :]


def find_links(text: str) -> tuple[str, ...]:
    """Every link in a text, also inside longer runs; rather a host too many than one too few."""
    return tuple(dict.fromkeys(link for run in _runs(text, _LINK_MARK) for link in _all(run)))


def _all(run: str) -> Iterator[str]:
    whole = tuple(_whole(run))
    yield from whole
    for count, found in enumerate(_SCHEME.finditer(run)):
        if count >= _MAX_INNER:
            break
        yield run[found.start() :]
    scheme = _SCHEME.search(run)
    ahead = "" if whole and not scheme else run[: scheme.start()] if scheme else run
    for bare in _BARE_INSIDE.finditer(ahead):
        start, end = bare.span()
        mail = (ahead[start - 1 : start] == "@" and not bare["rest"]) or ahead[end : end + 1] == "@"
        if not mail and _is_bare_link(bare):
            yield bare[0]


def find_addresses(text: str) -> tuple[str, ...]:
    """Every e-mail address in a text as it is written there, in order, once each."""
    pieces = (
        piece.strip(_AFTER + _BEFORE).removesuffix("'s").removesuffix("’s")
        for run in _runs(text, _MAIL_MARK)
        if "://" not in run
        for piece in _ADDRESS_ENDS.split(run)
        if "@" in piece
    )
    return tuple(dict.fromkeys(piece for piece in pieces if _ADDRESS.fullmatch(piece)))
