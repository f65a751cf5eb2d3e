"""The way out, request by request: rules of hosts, ports, methods, paths and tools, and the one answer to a hop.

Layer: core/policy. Reading the rules from a document is `egress_section`'s, comparing two documents `egress_wider`'s.
Absent: names' addresses. The answer is about what the request says, before anything is looked up.
Laws: total; what no rule allows is refused; a deny rule beats every allow rule, so the order does not matter; a host
that is not spelled as a host, and a path that two servers could read in two ways, fit only what is allowed whole.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from carapax.core.terms.egress import Hop, Verdict

ANY = "*"
"""Any host with a name, or any tool."""

SHELL = "run_online"
"""The tool that a rule is about when it names none: the command with a way out."""

WEBSOCKET = "WEBSOCKET"
"""The method that a rule names to allow an upgrade: what follows goes both ways, so GET alone does not."""

TUNNEL = "CONNECT"
NONE = "egress.none"
"""The rule of an answer that no line gave."""

LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{LABEL}\.)*{LABEL}")
_ODD = re.compile(
    r"//|[\\;]|[\x00-\x20\x7f]|/\.{1,2}(?:/|\Z)"
    r"|%(?![0-9a-fA-F]{2})|%(?:00|2[dDeEfF5]|3[0-9bB]|4[1-9a-fA-F]|5[0-9aAcCfF]|6[1-9a-fA-F]|7[0-9aAeE])"
)
"""Empty and dot segments, parameters, separators and percents in code, and letters and digits that need no code."""


class Answer(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One line. () means any method, any path; `hosts` and `tools` are never empty."""

    name: str
    answer: Answer
    hosts: tuple[str, ...]  # "pypi.org", "*.example.org" (below it, not itself), "*" (any name, no bare address)
    ports: tuple[int, ...] = (443,)
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # "/simple": it and below; with "*" or "**": the whole path, segment by segment
    tools: tuple[str, ...] = (SHELL,)
    opaque: bool = False
    addresses: tuple[str, ...] = ()  # networks that are not global, in which the host may lie
    because: str = ""


def decide_egress(rules: Sequence[EgressRule], tool: str, hop: Hop) -> Verdict:
    """The answer to one request of a tool. An allowed tunnel that is not `opaque` is to be opened, and judged within."""
    if not is_host(hop.host):
        return Verdict(False, "egress.host", "The address is not spelled as a host name. Write it in its plain form.")
    near = [rule for rule in rules if _reaches(rule, tool, hop)]
    denying = [rule for rule in near if rule.answer is Answer.DENY]
    against = next((rule for rule in denying if _is_denied(rule, hop)), None)
    if against is not None:
        because = against.because or f"The policy refuses {shown_host(hop)}."
        return Verdict(False, f"egress.{against.name}", f"{because} Only a change of the policy lifts this.")
    allowing = [rule for rule in near if rule.answer is Answer.ALLOW]
    fitting = [rule for rule in allowing if _is_allowed(rule, hop)]
    if not fitting:
        return Verdict(False, NONE, _refusal(allowing, tool, hop))
    pinned = tuple(dict.fromkeys(network for rule in fitting for network in rule.addresses))
    # What a line denies in part has to be looked at, so the tunnel is opened whatever another line says.
    opaque = is_tunnel(hop) and not denying and any(rule.opaque for rule in fitting)
    first = next((rule for rule in fitting if rule.opaque), fitting[0]) if opaque else fitting[0]
    return Verdict(True, f"egress.{first.name}", first.because, opaque, pinned)


def lets_out(rules: Iterable[EgressRule], tool: str) -> bool:
    """Whether any line allows this tool anything."""
    return any(rule.answer is Answer.ALLOW and has_tool(rule, tool) for rule in rules)


def has_tool(rule: EgressRule, tool: str) -> bool:
    """Whether the line is about this tool."""
    return tool in rule.tools or ANY in rule.tools


def is_host(host: str) -> bool:
    """Whether this is a host name or an address in its one plain spelling: lower case, IDNA, no dot at the end."""
    if is_address(host):
        return True
    last = host.rpartition(".")[2]
    numeric = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
    return len(host) <= 253 and not numeric and _NAME.fullmatch(host) is not None


def is_address(host: str) -> bool:
    """Whether this is an IP address, spelled as its number is written."""
    try:
        return str(ipaddress.ip_address(host)) == host and "%" not in host
    except ValueError:
        return False


def fits_host(pattern: str, host: str) -> bool:
    """Whether a host of a rule means this one. A pattern never means a bare address, nor a name without a dot."""
    if not pattern.startswith(ANY):
        return pattern == host
    if is_address(host) or "." not in host:
        return False
    return pattern == ANY or (host.endswith(pattern[1:]) and len(host) > len(pattern) - 1)


def plain_path(path: str) -> str:
    """The path without its query."""
    return path.partition("?")[0].partition("#")[0]


def is_odd(path: str) -> bool:
    """Whether two servers could read the path in two ways."""
    return not path.startswith("/") or _ODD.search(path) is not None


def fits_path(pattern: str, path: str) -> bool:
    """Whether a path of a rule means this one. A pattern without a star is a prefix that ends at a segment's end."""
    if ANY in pattern:
        return _glob(pattern.split("/"), path.split("/"), "**", _fits_segment)
    rest = path[len(pattern) :]
    return path.startswith(pattern) and (not rest or pattern.endswith("/") or rest.startswith("/"))


def shown_host(hop: Hop) -> str:
    """Host and, when it is not 443, port, as a person reads it."""
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    return host if hop.port == 443 else f"{host}:{hop.port}"


def is_tunnel(hop: Hop) -> bool:
    """Whether this asks for a tunnel as a whole, before anything in it is seen."""
    return hop.method == TUNNEL and not hop.path


def _reaches(rule: EgressRule, tool: str, hop: Hop) -> bool:
    return has_tool(rule, tool) and hop.port in rule.ports and any(fits_host(host, hop.host) for host in rule.hosts)


def _is_denied(rule: EgressRule, hop: Hop) -> bool:
    """In doubt yes: an odd path may be the denied one. A tunnel is denied by a line about the whole host."""
    if is_tunnel(hop):
        return not rule.methods and not rule.paths
    if rule.methods and not set(_methods(hop)) & set(rule.methods):
        return False
    path = plain_path(hop.path)
    return not rule.paths or is_odd(path) or any(fits_path(pattern, path) for pattern in rule.paths)


def _is_allowed(rule: EgressRule, hop: Hop) -> bool:
    if is_tunnel(hop):
        return True
    if rule.methods and _methods(hop)[-1] not in rule.methods:
        return False
    path = plain_path(hop.path)
    return not rule.paths or (not is_odd(path) and any(fits_path(pattern, path) for pattern in rule.paths))


def _methods(hop: Hop) -> tuple[str, ...]:
    return (hop.method, WEBSOCKET) if hop.websocket else (hop.method,)


def _refusal(allowing: Sequence[EgressRule], tool: str, hop: Hop) -> str:
    host = shown_host(hop)
    if not allowing:
        return (
            f"No line of the policy lets {tool} reach {host}. "
            f"A person can look at it and allow it with `carapax egress allow {host}`."
        )
    lines = ", ".join(f"egress.{rule.name}" for rule in allowing[:3])
    method = _methods(hop)[-1]
    methods = [known for rule in allowing for known in rule.methods]
    if all(rule.methods and method not in rule.methods for rule in allowing):
        said = method if method.isascii() and method.isalpha() and len(method) <= 20 else "another method"
        only = ", ".join(dict.fromkeys(methods))
        return f"The policy lets {tool} reach {host} with {only} only, not with {said}. A person can widen {lines}."
    if is_odd(plain_path(hop.path)):
        return f"The path is written in a way that can be read as two places of {host}. Write it out plainly."
    return f"The policy lets {tool} reach only some paths of {host}, not this one. A person can widen {lines}."


def _fits_segment(pattern: str, segment: str) -> bool:
    return _glob(pattern, segment, ANY, str.__eq__)


def _glob(pattern: Sequence[str], value: Sequence[str], star: str, fits: Callable[[str, str], bool]) -> bool:
    """Whether a pattern in which `star` stands for any run fits the whole value. In time pattern times value."""
    at = here = 0
    last, began = -1, 0
    while here < len(value):
        if at < len(pattern) and pattern[at] != star and fits(pattern[at], value[here]):
            at, here = at + 1, here + 1
        elif at < len(pattern) and pattern[at] == star:
            last, began, at = at, here, at + 1
        elif last >= 0:
            began += 1
            at, here = last + 1, began
        else:
            return False
    return all(part == star for part in pattern[at:])
