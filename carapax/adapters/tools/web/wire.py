"""The web tools' bytes: addresses, kinds of answers, the sandbox's order and what it found, words for model and person.

Layer: adapters/tools/web. Pure. An address is taken in the very form that the rules judged (`core/flow/links`).
Absent: any look at markup; that is `program.py`, in the sandbox, and what it says is untrusted like the page itself.
Laws: in a result our own lines come first, and nothing of the page can stand among them; no control character but
newline and tab comes through; parsing never raises but as said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from carapax.adapters.tools.web.engines.terms import Result
from carapax.core.flow.links import url_forms
from carapax.core.terms.error import Malformed
from carapax.ports.sandbox import Ran

PART_BYTES = 20_000
"""Of a page's text in one result."""

COUNT = 8
MOST_RESULTS = 20
TITLE_CHARS = 300
ADDRESS_CHARS = 2_000
MAX_LINKS = 100

_SAFE = "/?%:@!$&'()*+,;=~[]"
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_TEXTS = frozenset({"application/json", "application/yaml", "application/toml", "application/javascript"})
_TEXTS_TOO = frozenset({"application/x-ndjson", "application/x-yaml", "application/sql"})
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:\-]{1,40})")


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be asked: https, no name or password in it, no fragment."""

    url: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """The host as people write it, with a port that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Page:
    """What the sandbox read of a page."""

    title: str = ""
    text: str = ""
    parts: int = 0
    links: tuple[tuple[int, str], ...] = ()
    language: str = ""
    refresh: str = ""
    hidden: int = 0
    cut: bool = False


# addresses


def read_target(text: str) -> Target:
    """The address to ask; http is asked as https. Raises Malformed with a sentence."""
    forms = url_forms(text.strip())
    if not forms:
        raise Malformed("That is not a web address; one looks like https://example.org/page.")
    url = forms[0].partition("#")[0]
    scheme, _, rest = url.partition("://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Malformed("That address has a host or a port that cannot be.") from error
    if scheme == "http" and port is None:
        url = f"https://{rest}"
    elif scheme != "https":
        raise Malformed(f"Only https addresses can be read, not {scheme}. Use the https address.")
    if "@" in parts.netloc:
        raise Malformed("An address with a name or password in it is not asked. Leave out what stands before the @.")
    if not host or len(url) > ADDRESS_CHARS:
        raise Malformed(f"That address has no host, or more than {ADDRESS_CHARS:,} characters.")
    return Target(_ascii(url), host, port or 443)


def next_hop(target: Target, location: str) -> Target:
    """Where an answer sends on to. Raises Malformed."""
    try:
        return read_target(urljoin(target.url, location.strip()))
    except ValueError as error:
        raise Malformed("That is not a web address.") from error


def _ascii(url: str) -> str:
    scheme, _, rest = url.partition("://")
    netloc, slash, path = re.match(r"([^/?]*)(/?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{scheme}://{netloc}{slash}{quote(path, safe=_SAFE)}"


# answers


def find_media(content_type: str, head: bytes) -> str:
    """How an answer is read: "html", "xml" or "text". Raises Malformed for what is not text."""
    kind = content_type.partition(";")[0].strip().lower()
    if not kind:
        start = head[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if b"\0" in head[:1_000]:
            raise Malformed("The answer does not say what it is, and is not text.")
        return "xml" if start.startswith(b"<?xml") else "html" if start.startswith(b"<") else "text"
    if kind in ("text/html", "application/xhtml+xml"):
        return "html"
    if kind in ("text/xml", "application/xml") or (kind.startswith("application/") and kind.endswith("+xml")):
        return "xml"
    if kind.startswith("text/") or kind in _TEXTS | _TEXTS_TOO or kind.endswith("+json"):
        return "text"
    if kind == "application/pdf":
        raise Malformed("It is a PDF document, and those cannot be read yet.")
    raise Malformed(f"It is not a page or a text but {_line(kind, 60)}, which cannot be read.")


def find_charset(content_type: str) -> str:
    """The character set that the answer names; "" when it names none."""
    found = _CHARSET.search(content_type.lower())
    return found[1] if found else ""


# the sandbox's order and what it found


def render_order(
    media: str,
    body: bytes,
    modules: Sequence[tuple[str, str]],
    *,
    charset: str = "",
    url: str = "",
    part: int = 1,
    select: Mapping[str, str] | None = None,
) -> bytes:
    """What the program reads: one line, then the body as it came."""
    order = {"media": media, "charset": charset, "url": url, "part": part, "room": PART_BYTES, "modules": modules}
    return json.dumps(order | {"select": dict(select or {})}).encode("ascii") + b"\n" + body


def parse_run(ran: Ran) -> Any:
    """What the program found, as JSON. Raises Malformed with a sentence."""
    if ran.ended_by:
        raise Malformed(f"Reading the answer was ended by its {ran.ended_by} limit.")
    if ran.exit_code != 0 or ran.truncated:
        raise Malformed(f"The answer could not be read (exit code {ran.exit_code}).")
    return parse_json(ran.output)


def parse_json(data: bytes) -> Any:
    """Raises Malformed with a sentence."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Malformed("The answer is not what it says it is.") from error


def parse_page(found: Any) -> Page:
    """A page out of what the program found. Raises Malformed."""
    if not isinstance(found, dict):
        raise Malformed("The answer is not what it says it is.")

    def given(key: str, kind: type) -> Any:
        value = found.get(key)
        return value if type(value) is kind else kind()

    links = [
        (pair[0], _line(pair[1], ADDRESS_CHARS))
        for pair in given("links", list)[:MAX_LINKS]
        if isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and isinstance(pair[1], str)
    ]
    return Page(
        title=_line(given("title", str), TITLE_CHARS),
        text=_cut(given("text", str).translate(_CONTROL)),
        parts=max(given("parts", int), 0),
        links=tuple(links),
        language=_line(given("language", str), 20),
        refresh=_line(given("refresh", str), ADDRESS_CHARS),
        hidden=max(given("hidden", int), 0),
        cut=given("cut", bool),
    )


# words


def render_page(page: Page, target: Target, asked: Target, part: int, *, cut: bool) -> str:
    """A part of a page as the model reads it: what is known of it, then its words, then its links."""
    known = [page.title or target.place, target.url]
    if target.url != asked.url:
        known.append(f"Moved here from {asked.url}.")
    if page.language:
        known.append(f"Language: {page.language}.")
    if page.parts > 1:
        more = f"; web_fetch with part {part + 1} reads on" if part < page.parts else ""
        known.append(f"Part {part} of {page.parts}{more}.")
    if cut or page.cut:
        known.append("It is longer than what is read of a page; the end is left out.")
    if page.hidden:
        pieces = "piece" if page.hidden == 1 else "pieces"
        known.append(f"Carapax left out {page.hidden} {pieces} of text that a person would not see.")
    if page.refresh:
        known.append(f"It asks a browser to go on to {page.refresh}; that was not followed.")
    words = page.text or "(It holds no text that can be read here; it may need a browser.)"
    links = [f"[{number}] {address}" for number, address in page.links]
    return "\n".join([*known, "", words, *(["", "Links:", *links] if links else [])])


def page_record(page: Page, target: Target) -> dict[str, str]:
    """The page for look-ups."""
    return {"url": target.url, "host": target.place, "title": page.title, "text": page.text}


def render_results(engine: str, query: str, results: Sequence[Result]) -> str:
    """What was found, one thing after the other."""
    if not results:
        return f"{engine} found nothing for “{_line(query, 200)}”."
    lines = [f"{engine} found for “{_line(query, 200)}”:"]
    for number, one in enumerate(results, 1):
        lines += ["", f"{number}. {one.title}", f"   {one.url}", *([f"   {one.snippet}"] if one.snippet else [])]
    return "\n".join(lines)


def result_records(engine: str, results: Sequence[Result]) -> dict[str, Any]:
    """The results for look-ups."""
    return {
        "results": [
            {"url": one.url, "host": one.host, "engine": engine, "title": one.title, "snippet": one.snippet}
            for one in results
        ]
    }


def bounded(value: object, least: int, most: int, otherwise: int) -> int:
    """A count within its bounds; `otherwise` when none was given."""
    return min(max(value, least), most) if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _line(text: str, most: int) -> str:
    return " ".join(text.translate(_CONTROL).split())[:most]


def _cut(text: str) -> str:
    return text.encode("utf-8", "replace")[: 2 * PART_BYTES].decode("utf-8", "ignore")
