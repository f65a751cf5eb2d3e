"""Lines for the policy's section `egress`, made from what was refused: as narrow as what was seen, and written as text.

Layer: app; pure. Absent: the ledger and the policy file (`local_egress`, `policy_file`), and any decision: a person's.
Laws: a line names hosts, methods and tools that were seen and nothing wider; a host that is spelled oddly, an address
that is not public and what a line denies get no line; comments and all other lines of a document stay as they are.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from carapax.core.policy.egress import (
    ANY,
    NONE,
    SHELL,
    TUNNEL,
    Answer,
    EgressRule,
    decide_egress,
    is_address,
    is_host,
    is_odd,
)
from carapax.core.terms.egress import Hop
from carapax.core.terms.error import Malformed, PolicyInvalid

READING = ("GET", "HEAD")
"""What a line allows when only a tunnel was asked for, so that no method was seen."""

SHOWN_PATHS = 3
"""Folders of a host that a line names; of more it names none."""

_METHOD = re.compile("[A-Z]{2,20}")
_SECTION = re.compile(r"(?m)^egress:[ \t]*(?:\{\}[ \t]*)?(?P<note>#.*)?\n(?P<lines>(?:(?:[ \t].*)?\n)*)")


@dataclass(slots=True)
class Proposal:
    """A line that would let out what was refused at one host and port, and how often that was."""

    rule: EgressRule
    count: int = 0
    last_ms: int = 0


@dataclass(slots=True)
class _Place:
    count: int = 0
    last_ms: int = 0
    methods: dict[str, None] = field(default_factory=dict)
    paths: dict[str, None] = field(default_factory=dict)
    tools: dict[str, None] = field(default_factory=dict)


def propose(
    refused: Iterable[tuple[int, Mapping[str, Any]]], present: Sequence[EgressRule], hosts: Sequence[str] = ()
) -> list[Proposal]:
    """A line for each host and port of these entries (time, body) that the present rules still refuse.

    With `hosts` only for those ("pypi.org", "pypi.org:8443"), also where nothing was refused. Raises Malformed.
    """
    wanted = [_target(host) for host in hosts]
    places: dict[tuple[str, int], _Place] = {target: _Place() for target in wanted}
    for time_ms, body in refused:
        hop = _hop(body)
        target = (hop.host, hop.port)
        if not _proposable(hop.host) or (wanted and target not in places):
            continue
        if body.get("rule") == NONE and decide_egress(present, str(body["tool"]), hop).rule == NONE:
            _note(places.setdefault(target, _Place()), time_ms, str(body["tool"]), hop)
    taken = {rule.name for rule in present}
    found = []
    for (host, port), place in sorted(places.items(), key=lambda item: (-item[1].count, item[0])):
        name = _free_name(host, taken)
        taken.add(name)
        found.append(Proposal(_rule(name, host, port, place), place.count, place.last_ms))
    return found


def _target(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "443")
    host = host.strip("[]") if colon else text.strip("[]")
    if not is_host(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise Malformed(
            f"{text[:100]!r} is not a host.", next_step="Write a name in lower case, like pypi.org or pypi.org:8443."
        )
    if not _proposable(host):
        raise Malformed(
            f"{host} is not a public address.",
            next_step="Write the line into the policy yourself, with `addresses` (docs/formats/policy.md).",
        )
    return host, int(port)


def _hop(body: Mapping[str, Any]) -> Hop:
    method = str(body["method"])
    return Hop(str(body["host"]), int(body["port"]), "GET" if method == "WEBSOCKET" else method, str(body["path"]),
               websocket=method == "WEBSOCKET")  # fmt: skip


def _proposable(host: str) -> bool:
    return is_host(host) and (not is_address(host) or ipaddress.ip_address(host).is_global) and host != "localhost"


def _note(place: _Place, time_ms: int, tool: str, hop: Hop) -> None:
    place.count += 1
    place.last_ms = max(place.last_ms, time_ms)
    place.tools[tool] = None
    if hop.websocket:
        place.methods["WEBSOCKET"] = None
    elif hop.method != TUNNEL and _METHOD.fullmatch(hop.method):
        place.methods[hop.method] = None
    if hop.method != TUNNEL:
        place.paths[_folder(hop.path)] = None


def _folder(path: str) -> str:
    """The folder that a path lies in; "" when none can be named."""
    if is_odd(path) or ANY in path:
        return ""
    return path.rpartition("/")[0]


def _rule(name: str, host: str, port: int, place: _Place) -> EgressRule:
    named = "" not in place.paths and 0 < len(place.paths) <= SHOWN_PATHS
    return EgressRule(
        name,
        Answer.ALLOW,
        (host,),
        (port,),
        tuple(sorted(place.methods)) or READING,
        tuple(sorted(place.paths)) if named else (),
        tuple(sorted(place.tools)) or (SHELL,),
    )


def _free_name(host: str, taken: set[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", host)[:55]
    name = name if name[:1].isalpha() and "." in name else f"host-{name}"
    return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)


def render_line(rule: EgressRule, indent: str = "  ") -> str:
    """The rule as its lines in the document."""
    parts = [f"hosts: [{', '.join(_quoted(host) for host in rule.hosts)}]"]
    parts += [f"ports: [{', '.join(map(str, rule.ports))}]"] if rule.ports != (443,) else []
    parts += [f"methods: [{', '.join(rule.methods)}]"] if rule.methods else []
    parts += [f"paths: [{', '.join(_quoted(path) for path in rule.paths)}]"] if rule.paths else []
    parts += [f"tools: [{', '.join(_quoted(tool) for tool in rule.tools)}]"] if rule.tools != (SHELL,) else []
    parts += ["opaque: true"] if rule.opaque else []
    parts += [f"addresses: [{', '.join(_quoted(each) for each in rule.addresses)}]"] if rule.addresses else []
    parts.append(f"answer: {rule.answer.value}")
    parts += [f"because: {_quoted(rule.because)}"] if rule.because else []
    return f"{indent}{rule.name}:\n" + "".join(f"{indent * 2}{part}\n" for part in parts)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[a-z][a-z0-9_.-]*", text) else json.dumps(text)


def insert_lines(document: str, rules: Sequence[EgressRule]) -> str:
    """The document with these lines at the end of its section `egress`, which is made where there is none.

    Raises PolicyInvalid when the section is not written as lines.
    """
    document = document.rstrip() + "\n"
    found = _SECTION.search(document)
    if found is None:
        if re.search(r"(?m)^egress\b", document):
            raise PolicyInvalid(
                "The section egress is written in a way that cannot be changed from here.",
                next_step="Write each of its lines on a line of its own, or change it in the file yourself.",
            )
        return document + "\negress:\n" + "".join(render_line(rule) for rule in rules)
    lines = found["lines"]
    kept = lines.rstrip() + "\n" if lines.strip() else ""
    first = re.search(r"(?m)^([ \t]+)[^ \t#\n]", kept)
    added = "".join(render_line(rule, first[1] if first else "  ") for rule in rules)
    head = f"egress:   {found['note']}\n" if found["note"] else "egress:\n"
    return document[: found.start()] + head + kept + added + lines[len(kept) :] + document[found.end() :]
