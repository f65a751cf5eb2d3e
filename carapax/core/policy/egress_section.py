"""The sections `egress` and `egress_limits` of a document: who may leave, where to, and how much in one run.

Layer: core/policy. Both are optional: without `egress` nothing leaves.
Absent: answering (`egress`) and comparing (`egress_wider`). Format: docs/formats/policy.md.
Law: a host, a path or a method that could be read in two ways is refused with line, key and remedy.
"""

from __future__ import annotations

import ipaddress
import re

from carapax.core.policy import reading
from carapax.core.policy.egress import (
    ANY,
    SHELL,
    TUNNEL,
    Answer,
    EgressRule,
    is_address,
    is_host,
    is_odd,
)
from carapax.core.policy.tree import Node, fault
from carapax.core.terms.egress import Allowance

KEYS = ("hosts", "ports", "methods", "paths", "tools", "opaque", "addresses", "answer", "because")
LIMITS = ("requests", "hosts", "megabytes_up", "megabytes_down")
MAX_RULES = 500
"""Lines of `egress`."""

MEGABYTE = 1_000_000
MOST_MEGABYTES = 1_000_000
MAX_PATH = 500
"""Characters of one path of a line."""

_METHOD = re.compile(r"[A-Z]{2,20}")
_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def read_egress(node: Node | None) -> tuple[EgressRule, ...]:
    """Every line below `egress`, in the document's order."""
    lines = reading.entries(node) if node else {}
    if node and len(lines) > MAX_RULES:
        raise fault(node, f"this has {len(lines)} lines", f"write at most {MAX_RULES}")
    return tuple(_read(key, value) for key, value in lines.items())


def _read(key: str, node: Node) -> EgressRule:
    reading.check_name(node, key)
    if key in ("none", "host", "budget"):
        raise fault(node, f"`{key}` is a name of Carapax's own answers", "write another name")
    given = reading.fields(node, KEYS, ("hosts", "answer"))
    ports = tuple(_port(item) for item in _some(given["ports"])) if "ports" in given else (443,)
    rule = EgressRule(
        name=key,
        answer=reading.member(given["answer"], Answer),
        hosts=tuple(_host(item) for item in _some(given["hosts"])),
        ports=ports,
        methods=tuple(_method(item) for item in _some(given["methods"])) if "methods" in given else (),
        paths=_paths(given["paths"]) if "paths" in given else (),
        tools=tuple(_tool(item) for item in _some(given["tools"])) if "tools" in given else (SHELL,),
        opaque=reading.truth(given["opaque"]) if "opaque" in given else False,
        addresses=tuple(_network(item) for item in reading.items(given["addresses"])) if "addresses" in given else (),
        because=reading.text(given["because"], 300) if "because" in given else "",
    )
    _refuse_contradiction(rule, node)
    return rule


def _refuse_contradiction(rule: EgressRule, node: Node) -> None:
    if rule.opaque and (rule.methods or rule.paths):
        raise fault(node, "what goes through an opaque tunnel is not seen, so methods and paths cannot be held to",
                    "take methods and paths away, or `opaque`")  # fmt: skip
    if rule.answer is Answer.DENY and (rule.opaque or rule.addresses):
        raise fault(node, "a line that denies opens nothing", "take opaque and addresses away")
    if rule.opaque and ANY in rule.hosts:
        raise fault(node, "an opaque tunnel to any host is no bound at all", "name the hosts")
    if rule.addresses and ANY in rule.hosts:
        raise fault(node, "addresses that are not public are given to named hosts only", "name the hosts")


def _some(node: Node) -> tuple[Node, ...]:
    found = reading.items(node)
    if not found:
        raise fault(node, "the list is empty", "name one, or take the key away")
    return found


def _host(node: Node) -> str:
    found = reading.text(node, 255)
    if found == ANY:
        return found
    name = found.removeprefix("*.")
    if not is_host(name):
        raise fault(node, f"`{found[:60]}` is not a host in its plain spelling",
                    "write it in lower case, without scheme, port, path or a dot at the end; others as xn--…")  # fmt: skip
    if name != found and (is_address(name) or "." not in name):
        raise fault(node, f"`{found[:60]}` is too wide", "write *.NAME with a name of at least two parts")
    return found


def _port(node: Node) -> int:
    found = reading.whole(node, 1)
    if found > 65_535:
        raise fault(node, f"{found} is no port", "write a number from 1 to 65535")
    return found


def _method(node: Node) -> str:
    found = reading.text(node)
    if not _METHOD.fullmatch(found) or found == TUNNEL:
        raise fault(
            node, f"`{found[:40]}` is not a method here", "write GET, POST, … in capitals; WEBSOCKET for an upgrade"
        )
    return found


def _paths(node: Node) -> tuple[str, ...]:
    found = tuple(_path(item) for item in _some(node))
    return () if "/" in found else found  # "/" is every path, also one that is oddly written


def _path(node: Node) -> str:
    found = reading.text(node, MAX_PATH)
    if is_odd(found) or "?" in found or "#" in found:
        raise fault(node, f"`{found[:60]}` is not a plain path", "begin with /, without .., //, ? or encoded slashes")
    return found


def _tool(node: Node) -> str:
    found = reading.text(node)
    if found != ANY and not _TOOL.fullmatch(found):
        raise fault(node, f"`{found[:60]}` is not a tool", 'write names of tools, or "*" for every one')
    return found


def _network(node: Node) -> str:
    try:
        return str(ipaddress.ip_network(reading.text(node)))
    except ValueError as error:
        raise fault(node, f"this is not a network ({error})", "write it like 192.168.1.0/24") from error


def read_allowance(node: Node | None) -> Allowance:
    """The section `egress_limits`: bounds of one run's way out."""
    default = Allowance()
    if node is None:
        return default
    given = reading.fields(node, LIMITS)
    return Allowance(
        requests=_bound(given["requests"], 1_000_000) if "requests" in given else default.requests,
        hosts=_bound(given["hosts"], 10_000) if "hosts" in given else default.hosts,
        bytes_up=_megabytes(given["megabytes_up"]) if "megabytes_up" in given else default.bytes_up,
        bytes_down=_megabytes(given["megabytes_down"]) if "megabytes_down" in given else default.bytes_down,
        held_bytes=default.held_bytes,
    )


def _megabytes(node: Node) -> int:
    return _bound(node, MOST_MEGABYTES) * MEGABYTE


def _bound(node: Node, most: int) -> int:
    found = reading.whole(node, 1)
    if found > most:
        raise fault(node, f"{found} is out of range", f"write a number from 1 to {most}")
    return found
