"""Replies as a person sees them: no picture from elsewhere, no link that nobody vouched for, sources named.

Layer: core/flow. Owns a small Markdown scanning that errs towards "live": code is left alone only where every renderer
takes it for code, and what does not come to rest in a few rounds is shown as one block of code.
Absent: rendering; the judgement which address is endorsed (the caller's).
Source: CommonMark 0.31, GFM autolinks; design `flow.md`, rule 6.
Laws: idempotent; without links, pictures and taint the same bytes; outside code no http address survives unendorsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape

from carapax.core.flow.hidden import strip_hidden
from carapax.core.flow.links import find_links
from carapax.core.flow.markup import TAG, attributes, code_regions
from carapax.core.terms.label import Integrity, Label, Source

Endorsed = Callable[[str], bool]
"""Whether an address, as written but decoded and with its scheme, may be a live link."""

MAX_NAMED = 5
"""Sources named in the closing line; the others are counted."""

_MAX_CHANGED = 20
_ROUNDS = 5
_SHOWN_CHARS = 160
_LINKED = frozenset({"http", "https", "ftp", "mailto", "tel"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FETCHES = _words(
    "img image svg picture source video audio track iframe frame object embed applet link style script base meta form "
    "input button textarea select use template math portal bgsound layer body html head frameset marquee"
)
_WITH_CONTENT = "script|style|svg|iframe|object|template|noembed|noframes|noscript|math|xmp|plaintext"
_ADDRESS_ATTRIBUTES = _words(
    "src srcset poster background data action formaction xlink:href cite ping longdesc manifest codebase archive icon "
    "dynsrc lowsrc profile usemap srcdoc imagesrcset classid code object"
)

_LABEL = r"((?:[^\[\]\\]|\\.|\[(?:[^\[\]\\]|\\.){0,200}+\]){0,400}+)"  # bounded: a longer one is no link here, and its address is text
_PLACE = r"(<[^<>\n]*+>|(?:[^\s()<>\\]|\\.|\((?:[^\s()\\]|\\.)*+\))*+)"
_TITLE = r"(?:\s++(?:\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\)))?+"
_INLINE = re.compile(rf"(!?)\[{_LABEL}\]\(\s*+{_PLACE}{_TITLE}\s*+\)", re.DOTALL)
_BY_NAME = re.compile(rf"(!?)\[{_LABEL}\](?:\[((?:[^\[\]\\]|\\.){{0,400}}+)\])?+(?![(:])", re.DOTALL)
_NAMED = re.compile(
    rf"^([ \t>*+\-\d.)]*)\[((?:[^\[\]\\]|\\.){{1,999}}+)\]:[ \t]*+\n?[ \t]*+(<[^<>\n]*+>|[^\s<]\S*+){_TITLE}[ \t]*+(?:\n|\Z)",
    re.MULTILINE,
)
_ANGLED = re.compile(r"<([a-zA-Z][a-zA-Z0-9+.\-]{1,31}:[^<>\s]*+)>")
_ELEMENT = re.compile(rf"(?is)<({_WITH_CONTENT})(?=[\s/>])[^>]*+>.*?(?:</\1\s*>|\Z)")
_OPEN_PLACE = re.compile(r"(?<=\])(\(\s*<?\s*)([^\s)>]*)")
_COLON = r"(?:\\?:|&colon;|&#0*58;?|&#[xX]0*3[aA];?)"
_SLASH = r"(?:\\?/|\\|&sol;|&bsol;|&#0*47;?|&#[xX]0*2[fF];?)"
_TRAILING = ".,;:!?'\"*_~]}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A reply for a person: its text, the outside sources it rests on, and what was changed, in words."""

    text: str
    sources: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    closing: str = ""  # the line that names the sources, as it ends the text


def render_reply(text: str, label: Label, endorsed: Endorsed) -> Rendered:
    """The reply with nothing in it that loads or leads elsewhere unendorsed; an EXTERNAL one ends with its sources."""
    sources = source_words(label) if label.integrity is Integrity.EXTERNAL else ()
    closing = _closing(sources) if label.integrity is Integrity.EXTERNAL else ""
    body = text.removesuffix(closing) if closing else text
    changed: list[str] = []
    if closing:
        shown = strip_hidden(body)
        body = shown.text
        changed += shown.hidden
    body = _settle(body, endorsed, changed)
    return Rendered(body + closing, sources, tuple(dict.fromkeys(changed))[:_MAX_CHANGED], closing)


def source_words(label: Label) -> tuple[str, ...]:
    """What a label's outside sources are called before a person, in a fixed order, without doubles."""
    ordered = sorted(label.sources, key=lambda s: (s.kind, s.field, s.ref))
    return tuple(dict.fromkeys(word for source in ordered if (word := _source_word(source))))


def _source_word(source: Source) -> str:
    match source.kind:
        case "tool":
            return f"what {_plain_name(source.field or source.ref)} returned"
        case "file":
            return f"file {_plain_name(source.ref)}"
        case "message" if source.ref == "client-history":
            return "earlier messages that the program sent along"
        case "message" | "model" | "system":
            return ""
    return f"{_plain_name(source.kind)} {_plain_name(source.ref)}".strip()


def _plain_name(name: str) -> str:
    # A name can be an attacker's: nothing in it may be markup or a link.
    plain = re.sub(r"[^\w .@/+\-]", "_", strip_hidden(name).text[:400])
    plain = " ".join(re.sub(r"(?i)www\.", "www_", plain).replace("//", "/").split())
    return plain if len(plain) <= 60 else plain[:59] + "…"


def _closing(sources: tuple[str, ...]) -> str:
    named = ", ".join(sources[:MAX_NAMED]) or "text from outside"
    over = len(sources) - MAX_NAMED
    return f"\n\n— rests on: {named}{f' and {over} more' if over > 0 else ''}"


def _settle(text: str, endorsed: Endorsed, changed: list[str]) -> str:
    for _ in range(_ROUNDS):
        after = _Pass(endorsed, changed).run(text)
        if after == text:
            return text
        text = after
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 3)
    changed.append("markup nested in markup, shown as plain text")
    return f"{fence}\n{text}\n{fence}"


@dataclass(slots=True)
class _Pass:
    """One round over a reply, with code set aside."""

    endorsed: Endorsed
    changed: list[str]
    names: dict[str, str] = field(default_factory=dict)
    pictured: set[str] = field(default_factory=set)
    pending: list[str] = field(default_factory=list)

    def run(self, text: str) -> str:
        if not re.search(r"[<:\\&]|//|!\[|\w\.\w", text):
            return text
        text, code, mark = _set_aside(text)
        for each in _NAMED.finditer(text):
            self.names.setdefault(_key(each.group(2)), each.group(3))
        text = _ELEMENT.sub(self._element, text)
        text = TAG.sub(self._tag, text)
        text += "".join(left for left in self.pending if left != "</a>")
        text = _INLINE.sub(self._inline, text)
        if self.names:
            text = _BY_NAME.sub(self._by_name, text)
            text = _NAMED.sub(self._definition, text)
        text = _ANGLED.sub(self._angled, text)
        text = _OPEN_PLACE.sub(self._open_place, text)
        if "&" in text or "\\" in text:
            text = re.sub(rf"[^\s<>`{mark}]*(?:&#?\w+;?|\\)[^\s<>`{mark}]*", self._disguised, text)
        text = _bare(mark).sub(self._address, text)
        text = self._hosts(text)
        return _put_back(text, code, mark)

    def _told(self, what: str) -> None:
        if what not in self.changed and len(self.changed) < _MAX_CHANGED:
            self.changed.append(what)

    def _as_text(self, place: str) -> str | None:
        """None where the place may stay a link; else what to write for it, "" for an address that is not one."""
        address = _decoded(place)
        scheme = _scheme(address)
        if not scheme:
            return None
        if scheme not in _LINKED:
            self._told(f"an address of the kind {scheme[:20]} was removed")
            return ""
        if self.endorsed(address):
            return None
        self._told(f"link to {_host(address)} shown as text")
        return f"`{_display(address)}`"

    def _picture(self, place: str) -> str | None:
        address = _decoded(place)
        scheme = _scheme(address)
        if not scheme:
            return None
        host = _host(address) if scheme in _LINKED else ""
        self._told(f"picture from {host} not shown" if host else "picture not shown")
        return f"[image not shown: {host}]" if host else "[image not shown]"

    def _element(self, found: re.Match[str]) -> str:
        self._told(f"{found.group(1).lower()} element removed")
        return "[image not shown]" if found.group(1).lower() == "svg" else ""

    def _tag(self, tag: re.Match[str]) -> str:
        whole, name = tag.group(), tag.group(2).lower()
        if ":" in name and _ANGLED.fullmatch(whole):
            return whole
        if not tag.group(4) or "<" in whole[1:]:
            return "&lt;" + whole[1:]  # no tag for some readers: let the next round see what is inside
        if tag.group(1):
            if name == "a" and self.pending:
                return self.pending.pop()
            return "" if name in _FETCHES else whole
        given = attributes(tag)
        if name in ("img", "image"):
            place = next((a.value for a in given if a.name in ("src", "srcset", "href", "xlink:href")), "")
            return self._picture(place) or self._picture("//" + (_host(place) or "elsewhere")) or ""
        if name in _FETCHES or any(_acts(a.name, a.value) for a in given):
            self._told(f"{name[:20]} element removed")
            return ""
        if name in ("a", "area") and (href := [a.value for a in given if a.name == "href"]):
            shown = [text for each in href if (text := self._as_text(each)) is not None]
            if not shown:
                self.pending.append("</a>") if name == "a" else None
                return whole
            self.pending.append(f" ({shown[0]}, not a link)" if shown[0] else "")
            return ""
        if any(a.name == "href" and self._as_text(a.value) is not None for a in given):
            return ""
        return whole

    def _inline(self, found: re.Match[str]) -> str:
        bang, said, place = found.groups()
        if bang:
            return self._picture(place) or found.group()
        said = _INLINE.sub(self._inline, said) if "](" in said else said
        shown = self._as_text(place)
        if shown is None:
            return f"[{said}]{found.group()[len(found.group(2)) + 2 :]}"
        return _beside(said, shown)

    def _by_name(self, found: re.Match[str]) -> str:
        bang, said, name = found.groups()
        place = self.names.get(_key(name or said))
        if place is None:
            return (
                f"{bang}[{_BY_NAME.sub(self._by_name, said)}]{found.group()[len(bang) + len(said) + 2 :]}"
                if "[" in said
                else found.group()
            )
        if bang:
            return self._picture(place) or found.group()
        shown = self._as_text(place)
        return found.group() if shown is None else _beside(said, shown)

    def _definition(self, found: re.Match[str]) -> str:
        return found.group() if self._as_text(found.group(3)) is None else found.group(1)

    def _angled(self, found: re.Match[str]) -> str:
        shown = self._as_text(found.group(1).split("|")[0])
        return found.group() if shown is None else shown

    def _open_place(self, found: re.Match[str]) -> str:
        address = _decoded(found.group(2))
        if not _scheme(address) or (_scheme(address) in _LINKED and self.endorsed(address)):
            return found.group()
        return " " + found.group()

    def _address(self, found: re.Match[str]) -> str:
        whole = found.group()
        ticked = _in_ticks(found)
        if ticked and whole[:4].lower() == "www.":
            return whole
        kept = _without_sentence(whole)
        rest = whole[len(kept) :]
        if (scheme := _scheme(_decoded(kept))) and scheme not in _LINKED:
            # A word of prose rather than a link; few renderers would make one of it.
            said = _display(kept) if re.search(r"(?i)https?:", kept) else kept.replace("|", "%7C")
            return (said if ticked else f"`{said}`") + rest
        shown = self._as_text(("" if scheme else "https://") + kept) if kept else None
        if shown is None:
            return whole
        return (shown.strip("`") if ticked else shown) + rest

    def _hosts(self, text: str) -> str:
        # Some renderers make links of bare hosts. Too many are found rather than too few, so few words are made of it.
        bare = {link for link in find_links(text) if not _scheme(link) and "@" not in re.split("[/?#]", link)[0]}
        wanted = {link for link in bare if not self.endorsed("https://" + link)}
        if not wanted:
            return text
        longest = sorted(wanted, key=lambda link: (-len(link), link))
        hosts = rf"(?<![\w`@/.:%\-])(?<!\]\()(?:{'|'.join(map(re.escape, longest))})(?![\w`@%\-])"
        found = re.compile(rf"[a-zA-Z][a-zA-Z0-9+.\-]{{0,30}}://[^\s<>\"`]+|<[^<>\n]*>|{hosts}")
        return found.sub(lambda one: self._host_text(one, wanted), text)

    def _host_text(self, found: re.Match[str], wanted: set[str]) -> str:
        whole = found.group()
        if whole not in wanted or found.string.endswith("[image not shown: ", 0, found.start()):
            return whole
        if "/" in whole or "?" in whole:
            self._told(f"link to {_host(whole)} shown as text")
        return f"`{_display('https://' + whole)}`"

    def _disguised(self, found: re.Match[str]) -> str:
        # A renderer decodes references and escapes before it looks for addresses.
        decoded = _decoded(found.group())
        address = re.search(r"(?i)(?:[a-z][a-z0-9+.\-]{0,30}:[\\/]{2}|https?:[\\/]|www\.)\S+", decoded)
        if address is None or address.group() in found.group() or _in_ticks(found):
            return found.group()
        place = _without_sentence(address.group())
        shown = self._as_text(("https://" if place[:4].lower() == "www." else "") + place)
        return (
            found.group()
            if shown is None
            else decoded[: address.start()] + shown + decoded[address.start() + len(place) :]
        )


def _set_aside(text: str) -> tuple[str, list[str], str]:
    regions = code_regions(text)
    mark = next((c for c in map(chr, range(0xE000, 0xF8FF)) if c not in text), "") if regions else ""
    if not mark:
        return text, [], ""
    out: list[str] = []
    code: list[str] = []
    last = 0
    for start, end in regions:
        out += [text[last:start], f"{mark}{len(code)}{mark}"]
        code.append(text[start:end])
        last = end
    return "".join([*out, text[last:]]), code, mark


def _put_back(text: str, code: list[str], mark: str) -> str:
    return re.sub(f"{mark}(\\d+){mark}", lambda one: code[int(one.group(1))], text) if mark else text


def _bare(mark: str) -> re.Pattern[str]:
    rest = rf"[^\s<>\"`{mark}]+"
    return re.compile(
        rf"(?i)(?:[a-z][a-z0-9+.\-]{{0,30}}{_COLON}{_SLASH}{{2}}|https?{_COLON}{_SLASH}|(?<![\w.])www\.){rest}"
    )


def _acts(name: str, value: str) -> bool:
    if name == "style":
        return any(sign in value for sign in ("(", "\\", "/*", "@"))
    return name.startswith("on") or name in _ADDRESS_ATTRIBUTES


def _without_sentence(address: str) -> str:
    kept = address.rstrip(_TRAILING)
    while kept.endswith(")") and kept.count("(") < kept.count(")"):
        kept = kept[:-1].rstrip(_TRAILING)
    return kept


def _in_ticks(found: re.Match[str]) -> bool:
    """Whether exactly one tick stands on each side: the form in which this module shows an address."""
    before, after = found.string[max(0, found.start() - 2) : found.start()], found.string[found.end() : found.end() + 2]
    return before.endswith("`") and after.startswith("`") and "``" not in (before, after)


def _beside(said: str, shown: str) -> str:
    said = said.strip()
    if not shown:
        return said
    plain = _decoded(said)
    return shown if f"`{_display(plain)}`" == shown else f"{said} ({shown}, not a link)"


def _key(label: str) -> str:
    return " ".join(label.casefold().split())


def _decoded(place: str) -> str:
    """An address as a browser would read it: references and escapes decoded, white space and controls gone."""
    decoded = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", unescape(place.strip().removeprefix("<").removesuffix(">")))
    decoded = re.sub(r"[\x00-\x20\x7f\u200b-\u200f\u2028-\u202e\ufeff]", "", decoded)
    slashed = decoded.replace("\\", "/")
    return "https:" + slashed if slashed.startswith("//") else decoded


def _scheme(address: str) -> str:
    found = re.match(r"([a-zA-Z][a-zA-Z0-9+.\-]*):", address)
    return found.group(1).lower() if found else ""


def _after_scheme(address: str) -> str:
    return address.split(":", 1)[-1].replace("\\", "/").lstrip("/") if _scheme(address) else address


def _host(address: str) -> str:
    authority = re.split(r"[/?#]", _after_scheme(_decoded(address)), maxsplit=1)[0]
    return re.sub(r"[^\w.:\-]", "", authority.rsplit("@", 1)[-1])[:80]


def _display(address: str) -> str:
    # The user part before "@" is where a false host is written: it is not shown.
    rest = _after_scheme(address)
    cut = re.search(r"[/?#]", rest)
    authority, path = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    name = authority if _scheme(address) in ("mailto", "tel") else authority.rsplit("@", 1)[-1]
    shown = strip_hidden(name + path).text.replace("`", "%60").replace("|", "%7C")
    shown = re.sub(r":(?=[/\\])", "%3A", shown).replace(" ", "%20").replace("\n", "%0A") or "address"
    return shown if len(shown) <= _SHOWN_CHARS else shown[: _SHOWN_CHARS - 1] + "…"
