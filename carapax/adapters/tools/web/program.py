"""Reading a page that anybody may have written, as it runs inside the sandbox: bytes in, one JSON object out.

Runs as `python3 -I -S -c THIS LIBRARY`. Standard input is one line of JSON (the order), then the body as it came.
The order brings the source of the modules that take hidden text out (`carapax.core.flow`): in here there is no Carapax.
Absent: any authority, any network, scripts, style sheets and pages behind an address. A refresh is told, never followed.
Laws: what comes out is bounded by the order; a body that cannot be read gives an object that says so, or no object.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

PAGE_CHARS = 2_000_000  # of a page's markup that are read
LINKS = 60  # in one part
LINK_CHARS = 500
LINKS_CHARS = 8_000  # of one part's links together
TITLE_CHARS = 300
ENTRIES = 60  # of a feed
SNIPPET_CHARS = 600
RESULTS = 30
MAIN_SHARE = 0.15  # of the whole text that what looks like the main part must hold to be believed

_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)((?:[^<>\"]|\"[^\"]*\")*)>")
_HREF = re.compile(r'href="([^"]*)"')
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")
_REFRESH = re.compile(r"(?is)^\s*\d{0,6}[\s.;,]*url\s*=\s*[\"']?([^\"']{1,2000})")
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_MARK = re.compile(r"\[(\d{1,6})\]\ue000")  # a footnote's number; the page holds no such character


class Reader:
    """The order with what it takes to carry it out."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        for name, source in order["modules"]:
            module = types.ModuleType(name)
            sys.modules[name] = module
            exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - Carapax's own source, sent by the gateway

    def text(self, body: bytes) -> str:
        """The body as text: by its mark of order, what the answer said, what the page says, what it looks like."""
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

        said = self.order["charset"]
        encoding = map_encoding_to_html5(said, fallback_utf8=False) if said else None
        if not encoding:
            encoding = detect_encoding(body, from_html_meta=self.order["media"] == "html") or "utf-8"
            if b"\x1b" not in body and _is_utf8(body):  # which other text is only by a rare chance
                encoding = "utf-8"
        try:
            return str(bytes_to_str(body, encoding))
        except (LookupError, UnicodeError):
            return body.decode("utf-8", "replace")

    def shown(self, markup: str) -> tuple[str, int]:
        """The markup without what a person would not see, and how many pieces of text that were."""
        seen = sys.modules["carapax.core.flow.hidden"].strip_hidden(markup, "html")
        # Scripts, styles and comments are in every page and are no text; they are not worth a word.
        return seen.text, sum(piece.startswith("hidden element: ") for piece in seen.hidden)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# pages


def read_page(reader: Reader, body: bytes) -> dict[str, Any]:
    """A page as readable text with footnotes for its links."""
    from resiliparse.parse.html import HTMLTree

    markup = reader.text(body)
    cut = len(markup) > PAGE_CHARS
    markup = markup[:PAGE_CHARS].replace("\ue000", "")
    raw = HTMLTree.parse(markup)
    base, refresh = _addresses(raw, reader.order["url"])
    shown, hidden = reader.shown(markup)
    text, links = _flat(_extract(shown), base)
    said = {"title": _line(raw.title or "", TITLE_CHARS), "language": _language(raw, text)}
    return said | {"refresh": refresh, "hidden": hidden, "cut": cut} | _part(text, links, reader.order)


def _extract(markup: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    def extracted(main: bool) -> str:
        return str(extract_plain_text(markup, preserve_formatting="minimal_html", links=True, main_content=main))

    whole, main = extracted(False), extracted(True)
    return main if len(main) >= MAIN_SHARE * len(whole) else whole


def _addresses(tree: Any, url: str) -> tuple[str, str]:
    """What links are relative to, and where the page would send a browser; "" when nowhere."""
    base, refresh = url, ""
    named = tree.document.query_selector("base[href]")
    if named is not None:
        base = _joined(url, named.getattr("href") or "") or url
    for meta in list(tree.document.query_selector_all("meta[http-equiv]"))[:50]:
        found = _REFRESH.match(meta.getattr("content") or "")
        if (meta.getattr("http-equiv") or "").strip().lower() == "refresh" and found:
            refresh = _joined(base, found[1])
    return base, refresh


def _language(tree: Any, text: str) -> str:
    from resiliparse.parse.lang import detect_fast

    root = tree.document.query_selector("html[lang]")
    said = re.match(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}$", (root.getattr("lang") or "").strip()) if root else None
    if said:
        return said[0]
    found, distance = detect_fast(text[:4_000])
    return found if distance < 1_200 and found != "unknown" else ""


def _flat(markup: str, base: str) -> tuple[str, list[str]]:
    """The few tags that are left as plain text; each different link gets a number, which stands behind its words."""
    links: dict[str, int] = {}
    pieces: list[str] = []
    opened: list[int] = []
    last = 0
    for tag in _TAG.finditer(markup):
        pieces.append(unescape(markup[last : tag.start()]))
        last = tag.end()
        closing, name = tag[1] == "/", tag[2]
        if name == "a" and not closing:
            href = _HREF.search(tag[3])
            address = _joined(base, unescape(href[1])) if href and href[1] else ""
            opened.append(links.setdefault(address, len(links) + 1) if address else 0)
        elif name == "a" and opened:
            number = opened.pop()
            pieces.append(f" [{number}]\ue000" if number else "")
        elif name == "li" and not closing:
            pieces.append("- ")
        elif re.fullmatch("h[1-6]", name) and not closing:
            pieces.append("#" * int(name[1]) + " ")
    pieces.append(unescape(markup[last:]))
    return _tidy("".join(pieces)), list(links)


def _joined(base: str, href: str) -> str:
    """A link of the web as an absolute address without its fragment; "" for every other one."""
    try:
        joined = urljoin(base, href.strip())
        parts = urlsplit(joined)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f<>\"\\]", joined):
        return ""
    address = joined.partition("#")[0]
    return address if len(address) <= LINK_CHARS and address != base.partition("#")[0] else ""


def _tidy(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text.replace("\r\n", "\n").translate(_CONTROL)).strip()


def _line(text: str, most: int) -> str:
    return " ".join(text.translate(_CONTROL).split())[:most]


def _part(text: str, links: list[str], order: dict[str, Any]) -> dict[str, Any]:
    """One part of a text, with the links that stand in it."""
    pieces = list(_pieces(text, order["room"]))
    at = order["part"]
    piece = pieces[at - 1] if 0 < at <= len(pieces) else ""
    room = LINKS_CHARS
    named: list[list[int | str]] = []
    for number in sorted({int(mark[1]) for mark in _MARK.finditer(piece)}):
        room -= len(links[number - 1])
        if room < 0 or len(named) >= LINKS:
            break
        named.append([number, links[number - 1]])
    return {"text": piece.replace("\ue000", ""), "parts": len(pieces), "links": named}


def _pieces(text: str, room: int) -> Iterator[str]:
    """The text in parts of at most `room` bytes, cut at ends of lines or words where there are any near."""
    data = text.encode("utf-8", "replace")
    start = 0
    while start < len(data) or start == 0:
        end = min(start + room, len(data))
        if end < len(data):
            for mark in (b"\n", b" "):
                at = data.rfind(mark, start + room // 2, end)
                if at > 0:
                    end = at + 1
                    break
            while data[end] & 0xC0 == 0x80:  # never inside a character
                end -= 1
        yield data[start:end].decode("utf-8", "replace").strip("\n")
        start = max(end, 1)


# feeds and plain text


def read_xml(reader: Reader, body: bytes) -> dict[str, Any]:
    """A feed as its entries; any other XML as it stands."""
    import xml.etree.ElementTree as ElementTree

    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - inside the sandbox, under its ceilings
    except (ElementTree.ParseError, ValueError, LookupError):
        return read_text(reader, body)
    entries = [one for one in root.iter() if _name(one) in ("item", "entry")]
    if not entries:
        return read_text(reader, body)
    lines = [line for entry in entries[:ENTRIES] for line in _entry(entry, reader)]
    title = next((t for one in root.iter() if _name(one) == "title" and (t := _words(one, reader))), "")
    said = {"title": title[:TITLE_CHARS], "language": "", "refresh": "", "hidden": 0, "cut": len(entries) > ENTRIES}
    return said | _part("\n".join(lines).translate(_CONTROL).strip(), [], reader.order)


def _entry(entry: Any, reader: Reader) -> Iterator[str]:
    said = {_name(one): one for one in reversed(list(entry))}
    yield f"- {_words(said['title'], reader)[:TITLE_CHARS]}" if "title" in said else "-"
    link = said.get("link")
    if link is not None and (href := _joined(reader.order["url"], link.get("href") or link.text or "")):
        yield f"  {href}"
    for name in ("pubDate", "updated", "date", "published"):
        if name in said:
            yield f"  {_words(said[name], reader)[:60]}"
            break
    for name in ("description", "summary", "content", "encoded"):
        if name in said and (words := _words(said[name], reader)):
            yield f"  {words[:SNIPPET_CHARS]}"
            break


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _words(element: Any, reader: Reader) -> str:
    """The words of an element on one line; markup inside them is read as a page's."""
    from resiliparse.extract.html2text import extract_plain_text

    text = "".join(element.itertext())[:20_000]
    if "<" in text:
        text = str(extract_plain_text(reader.shown(text)[0], preserve_formatting=False))
    return _line(text, 20_000)


def read_text(reader: Reader, body: bytes) -> dict[str, Any]:
    """A text as it stands."""
    text = reader.text(body).replace("\ue000", "").replace("\r\n", "\n").translate(_CONTROL).strip("\n")
    said = {"title": "", "language": "", "refresh": "", "hidden": 0, "cut": False}
    return said | _part(text, [], reader.order)


# results of a search


def read_results(reader: Reader, body: bytes) -> dict[str, Any]:
    """The results in a search engine's page, by the selectors of the order."""
    from resiliparse.parse.html import HTMLTree

    select = reader.order["select"]
    tree: Any = HTMLTree.parse(reader.shown(reader.text(body)[:PAGE_CHARS])[0])
    found = []
    for one in list(tree.document.query_selector_all(select["result"]))[:RESULTS]:
        link, words = one.query_selector(select["link"]), one.query_selector(select["snippet"])
        if link is not None and (href := link.getattr("href") or ""):
            said = _line(words.text, SNIPPET_CHARS) if words is not None else ""
            found.append({"title": _line(link.text, TITLE_CHARS), "url": href[:4_000], "snippet": said})
    return {"results": found, "blocked": tree.document.query_selector(select["blocked"]) is not None}


READERS = {"html": read_page, "xml": read_xml, "text": read_text, "results": read_results}


def main() -> None:
    sys.path.append(sys.argv[1])
    reader = Reader(json.loads(sys.stdin.buffer.readline()))
    found = READERS[reader.order["media"]](reader, sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
