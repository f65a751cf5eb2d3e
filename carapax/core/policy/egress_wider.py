"""Whether a document's way out is wider than another's, said in sentences.

Layer: core/policy, part of `widening`. Hosts and tools of a line are compared one by one, so that a line may be split
or joined without counting as wider.
Law: when nothing is named here, no hop of any tool gets a more permissive answer, and no bound is higher.
What cannot be shown to be narrower counts as wider.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import replace

from carapax.core.policy.egress import ANY, Answer, EgressRule, fits_path
from carapax.core.terms.egress import Allowance

_BOUNDS = (("requests", 1, ""), ("hosts", 1, ""), ("bytes_up", 1_000_000, " MB"), ("bytes_down", 1_000_000, " MB"))


def egress_widenings(old: Sequence[EgressRule], new: Sequence[EgressRule]) -> Iterator[str]:
    """Every way in which the new lines let more out."""
    before, after = _pieces(old, Answer.ALLOW), _pieces(new, Answer.ALLOW)
    for piece in after:
        if not any(_covers(known, piece) for known in before):
            yield f"egress.{piece.name} lets {_tool(piece)} reach {_target(piece)}"
    denied = _pieces(new, Answer.DENY)
    for piece in _pieces(old, Answer.DENY):
        if not any(_covers(known, piece) for known in denied):
            yield f"egress.{piece.name} no longer refuses {_target(piece)} to {_tool(piece)}"


def allowance_widenings(old: Allowance, new: Allowance) -> Iterator[str]:
    """Every bound of a run's way out that rises."""
    for key, unit, word in _BOUNDS:
        low, high = getattr(old, key), getattr(new, key)
        if high > low:
            name = key.replace("bytes", "megabytes")
            yield f"egress_limits.{name} rises from {low / unit:,.10g}{word} to {high / unit:,.10g}{word}"


def _pieces(rules: Sequence[EgressRule], answer: Answer) -> list[EgressRule]:
    """The lines of one answer, each for one host and one tool."""
    return [
        replace(rule, hosts=(host,), tools=(tool,))
        for rule in rules
        if rule.answer is answer
        for host in rule.hosts
        for tool in rule.tools
    ]


def _covers(wide: EgressRule, narrow: EgressRule) -> bool:
    """Whether every hop that fits the narrow piece fits the wide one, as freely."""
    return (
        wide.tools[0] in (ANY, narrow.tools[0])
        and _covers_host(wide.hosts[0], narrow.hosts[0])
        and set(narrow.ports) <= set(wide.ports)
        and (not wide.methods or (bool(narrow.methods) and set(narrow.methods) <= set(wide.methods)))
        and (not wide.paths or (bool(narrow.paths) and all(_covers_path(wide.paths, path) for path in narrow.paths)))
        and (wide.opaque or not narrow.opaque)
        and all(_lies_in(network, wide.addresses) for network in narrow.addresses)
    )


def _covers_host(wide: str, narrow: str) -> bool:
    if wide == narrow:
        return True
    if wide.startswith("*."):
        return narrow.removeprefix(ANY).endswith(wide[1:])
    # "*" means no bare address and no name without a dot; a last part that is a number is an address.
    return wide == ANY and "." in narrow.removeprefix("*.") and ":" not in narrow and not narrow[-1].isdigit()


def _covers_path(wide: Sequence[str], narrow: str) -> bool:
    plain = narrow.partition(ANY)[0] if ANY in narrow else narrow
    whole = plain.rpartition("/")[0] if ANY in narrow else plain  # the segments before the first star
    return any(known == narrow or (ANY not in known and fits_path(known, whole or "/")) for known in wide)


def _lies_in(network: str, networks: Sequence[str]) -> bool:
    inner = ipaddress.ip_network(network)
    outer = [ipaddress.ip_network(known) for known in networks]
    return any(
        known.version == inner.version and known.prefixlen <= inner.prefixlen and inner.network_address in known
        for known in outer
    )


def _tool(piece: EgressRule) -> str:
    return "every tool" if piece.tools[0] == ANY else piece.tools[0]


def _target(piece: EgressRule) -> str:
    ports = "" if piece.ports == (443,) else ":" + ",".join(str(port) for port in piece.ports)
    what = [", ".join(piece.methods)] if piece.methods else []
    what += [" or ".join(piece.paths)] if piece.paths else []
    what += ["unopened"] if piece.opaque else []
    what += [f"in {', '.join(piece.addresses)}"] if piece.addresses else []
    host = "any host" if piece.hosts[0] == ANY else piece.hosts[0]
    return f"{host}{ports}" + (f" ({'; '.join(what)})" if what else "")
