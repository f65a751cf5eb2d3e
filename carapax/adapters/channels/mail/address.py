"""Who a mail is from, and whether the owner's own mail server vouches for it.

Layer: adapters/channels/mail; pure. Owns the one reading of From, and what counts as evidence.
Absent: DKIM, SPF and ARC themselves: the receiving server checks them and writes Authentication-Results (RFC 8601).
Laws: one From field with one address, or nobody; only the topmost result field of the configured server is believed; a
pass counts for exactly the From domain; `arc=pass` alone proves nothing, for anybody can seal a chain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from carapax.core.terms.channel import Evidence, Person
from carapax.core.terms.error import Malformed

FIELD_CHARS = 4_096
NAME_CHARS = 200
_LOCAL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})){1,10}"
_ADDRESS = re.compile(f"{_LOCAL}@{_DOMAIN}")

Fields = Sequence[tuple[str, str]]


def parse_sender(fields: Fields) -> Person:
    """Whom From names, by the address in lower case. Raises Malformed: no From, two, a group, a list, or no plain address."""
    found = all_of(fields, "from")
    if len(found) != 1 or len(found[0]) > FIELD_CHARS:
        raise Malformed("This mail does not have exactly one From field.")
    name, rest = _split_quoted(found[0])
    before, opened, after = rest.partition("<")
    address, closed, tail = after.partition(">")
    if opened and (not closed or tail.strip() or "<" in tail or re.search(r"[<>,;:@]", before)):
        raise Malformed("From is a list, a group, or not an address.")
    plain = (address if opened else rest).strip()
    return Person(parse_address(plain), name=_shown_name(name or (before if opened else "")))


def parse_address(text: str) -> str:
    """One plain address in lower case. Raises Malformed: it is anything else."""
    if len(text) > 254 or not _ADDRESS.fullmatch(text):
        raise Malformed("This is not a plain e-mail address.")
    return text.lower()


def judge_evidence(fields: Fields, sender: str, authserv: str) -> Evidence:
    """ALIGNED when our own server found a DKIM or SPF pass for exactly the From domain, NONE otherwise. Total."""
    from authres import AuthenticationResultsHeader, AuthResError  # type: ignore[import-untyped]

    if not authserv:
        return Evidence.NONE
    domain = sender.rpartition("@")[2]
    for value in all_of(fields, "authentication-results"):
        if _server_of(value) != authserv.lower():
            continue
        try:  # the topmost of our server: what stands below may have come with the mail
            results = AuthenticationResultsHeader.parse(f"Authentication-Results: {value[:FIELD_CHARS]}").results
        except (AuthResError, ValueError, AttributeError, TypeError, IndexError):
            return Evidence.NONE
        return Evidence.ALIGNED if _aligned(results, domain) else Evidence.NONE
    return Evidence.NONE


def all_of(fields: Fields, name: str) -> list[str]:
    """Every value of a field, in order, unfolded."""
    return [" ".join(value.split()) for key, value in fields if key.lower() == name]


def decode_words(text: str) -> str:
    """Encoded words (RFC 2047) as text; what does not decode stays as it is. For showing only."""
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError, AssertionError, TypeError):
        return text


def _server_of(value: str) -> str:
    # The server's name ends at white space or ";"; a comment before it makes it another's.
    return re.split(r"[\s;]", value.strip(), maxsplit=1)[0].lower()


def _aligned(results: Sequence[object], domain: str) -> bool:
    passed = False
    for result in results:
        method, said = getattr(result, "method", ""), getattr(result, "result", "")
        given = {f"{item.type}.{item.name}": str(item.value or "") for item in getattr(result, "properties", ())}
        match method, said:
            case "dmarc", verdict if verdict not in ("pass", "none"):
                return False
            case "dmarc", _ if given.get("header.from", domain).lower() != domain:
                return False  # it judged another From than the one read here
            case "dkim", "pass":
                signer = given.get("header.d") or given.get("header.i", "").rpartition("@")[2]
                passed = passed or signer.lower() == domain
            case "spf", "pass":
                passed = passed or given.get("smtp.mailfrom", "").rpartition("@")[2].lower() == domain
    return passed


def _split_quoted(value: str) -> tuple[str, str]:
    """The quoted strings of a field, and the field without them and without comments. Raises Malformed: one is open."""
    quoted, rest, depth, at = [], [], 0, 0
    while at < len(value):
        letter = value[at]
        if letter == "\\" and (depth or at + 1 >= len(value)):
            at += 2
        elif depth or letter in "()":
            depth += (letter == "(") - (letter == ")")
            at += 1
        elif letter == '"':
            ended = re.compile(r'"((?:[^"\\]|\\.)*)"').match(value, at)
            if ended is None:
                raise Malformed("From has an open quotation mark.")
            quoted.append(re.sub(r"\\(.)", r"\1", ended[1]))
            at = ended.end()
        else:
            rest.append(letter)
            at += 1
        if depth < 0:
            raise Malformed("From has a stray parenthesis.")
    if depth:
        raise Malformed("From has an open parenthesis.")
    return " ".join(quoted), "".join(rest)


def _shown_name(name: str) -> str:
    return "".join(letter for letter in decode_words(name.strip()) if letter.isprintable())[:NAME_CHARS]
