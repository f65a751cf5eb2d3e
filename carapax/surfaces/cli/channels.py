"""`carapax channels`: see how messengers stand, test them, read what happened, disconnect one.

Layer: surfaces/cli. Adding one is `channel_add`. Everything but a channel's secrets is the running gateway's.
"""

from __future__ import annotations

import time

from carapax.core.terms.error import CarapaxError, NotFound
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.client import quoted
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.terminal import Span

_MARKS: dict[str, Span] = {
    "up": ("green", "✓"), "connecting": ("amber", "◦"), "waiting": ("amber", "◦"), "refused": ("red", "✗"), "off": ("grey", "·"),
}  # fmt: skip
OK_MARK = ("green", "✓")


def channels(c: Context, o: Namespace) -> int:
    """Do what the action says; list without one."""
    if o.action == "add":
        from carapax.surfaces.cli.channel_add import add_channel

        return add_channel(c, o)
    return {
        "list": _list, "status": _status, "logs": _logs, "test": _test, "remove": _remove,
    }[o.action or "list"](c, o)  # fmt: skip


def all_channels(c: Context) -> Sequence[Mapping[str, Any]]:
    """Every channel, as the gateway tells of it."""
    return c.client().call("GET", "/api/channels").get("channels") or []


def find_channel(c: Context, name: str) -> Mapping[str, Any]:
    """One of them. Raises NotFound."""
    found = next((each for each in all_channels(c) if each.get("name") == name), None)
    if found is None:
        raise NotFound(c.t("channels.not_there", name=name), next_step=c.t("channels.not_there_next"))
    return found


def _list(c: Context, o: Namespace) -> int:
    found = all_channels(c)
    if o.json:
        c.print_json({"channels": found})
    elif not found:
        c.out.line(c.t("channels.none"))
    else:
        for each in found:
            _show(c, each)
    return codes.OK


def _show(c: Context, each: Mapping[str, Any]) -> None:
    title, detail = str(each.get("title", "")), str(each.get("detail") or "")
    queued = int(each.get("queued") or 0)
    more = ("amber", f"   {c.t('channels.queued', count=queued)}") if queued else ""
    c.out.line(
        _MARKS.get(str(each.get("state")), "·"), " ", pad(str(each.get("name", "")), 16), " ", pad(_state(c, each), 11), " ",
        pad(title, 12), " ", detail, more,
    )  # fmt: skip


def _state(c: Context, each: Mapping[str, Any]) -> str:
    key = f"channels.state.{each.get('state')}"
    return c.t(key) if c.t.has(key) else str(each.get("state"))


def _status(c: Context, o: Namespace) -> int:
    found = [find_channel(c, o.name)] if o.name else all_channels(c)
    bad = any(each.get("state") not in ("up", "connecting") for each in found)
    if o.json:
        c.print_json({"channels": found})
        return codes.FAILED if bad else codes.OK
    if not found:
        c.out.line(c.t("channels.none"))
    for each in found:
        _show(c, each)
        counts = {name: f"{int(each.get(name) or 0):,}" for name in ("heard", "sent", "queued")}
        since = c.t("channels.since", when=clock(each.get("since_ms")))
        c.out.line("  ", ("grey", f"{c.t('channels.counts', **counts)} · {since}"))
    return codes.FAILED if bad else codes.OK


def clock(at_ms: object) -> str:
    """A moment in local time, "" for none."""
    if not isinstance(at_ms, int) or at_ms <= 0:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def _logs(c: Context, o: Namespace) -> int:
    found = c.client().call("GET", f"/api/channels/{quoted(o.name)}/log?limit={o.limit}").get("lines") or []
    if o.json:
        c.print_json({"lines": found})
    elif not found:
        c.out.line(c.t("channels.no_log"))
    else:
        for line in found:
            c.out.line(("grey", clock(line.get("at_ms"))), "  ", str(line.get("text", "")))
    return codes.OK


def _test(c: Context, o: Namespace) -> int:
    if not o.json:
        c.err.passing(c.t("channels.testing"))
    found = c.client().call("POST", f"/api/channels/{quoted(o.name)}/test")
    if o.json:
        c.print_json(found)
    else:
        c.out.line(OK_MARK, " ", c.t("channels.works", name=o.name))
        show_facts(c, found.get("facts") or [])
    return codes.OK


def show_facts(c: Context, facts: Sequence[object]) -> None:
    """What the platform says of the account."""
    for fact in facts:
        c.out.line("  ", str(fact))


def _remove(c: Context, o: Namespace) -> int:
    found = find_channel(c, o.name)
    if not o.yes and not c.confirm(c.t("channels.sure", name=o.name)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    handles = _handles(c, found)
    c.client().call("DELETE", f"/api/channels/{quoted(o.name)}")
    c.out.line(c.t("channels.removed", name=o.name))
    for handle in handles:
        _forget(c, handle)
    return codes.OK


def _handles(c: Context, found: Mapping[str, Any]) -> list[str]:
    """The secrets that adding it put into the vault of this machine."""
    if c.env.get("CARAPAX_URL"):
        return []
    kinds = c.client().call("GET", "/api/channel-kinds").get("kinds") or []
    asks: Sequence[Mapping[str, Any]] = next(
        (kind["asks"] for kind in kinds if kind.get("kind") == found.get("kind")), []
    )
    wanted = {handle_of(str(found.get("name")), str(asked["name"])) for asked in asks if asked.get("secret")}
    return [str(each["handle"]) for each in c.local.vault().list()["secrets"] if each["handle"] in wanted]


def handle_of(channel: str, asked: str) -> str:
    """Under which name a channel's secret is in the vault."""
    return f"channel-{channel}-{asked}"


def _forget(c: Context, handle: str) -> None:
    try:
        c.local.vault().remove(handle)
    except CarapaxError as error:
        c.print_error(error)
        c.err.line(("amber", c.t("channels.secret_stays", handle=handle)))
