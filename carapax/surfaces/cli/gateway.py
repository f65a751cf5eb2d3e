"""Commands about the gateway as a whole: serve, status, stop, token; and starting one in the background.

Layer: surfaces/cli.
"""

from __future__ import annotations

import time
from pathlib import Path

from carapax.core.terms.error import CarapaxError, Unavailable
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.banner import Banner
from carapax.surfaces.cli.client import GatewayAbsent, quoted
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping
    from typing import Any

    from carapax.surfaces.cli.client import Client
    from carapax.surfaces.cli.context import Context
    from carapax.surfaces.cli.local import Served

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_DAY_MS = 86_400_000


def reach(c: Context, *, start: bool) -> tuple[Client, bool]:
    """The gateway, and whether it was started here. Raises GatewayAbsent, or Unavailable when it does not come up."""
    try:
        client = c.client()
        if client.answers():
            return client, False
        raise GatewayAbsent("No gateway is running.")
    except GatewayAbsent:
        if not start or c.env.get("CARAPAX_URL"):
            raise
    started = c.local.start_gateway()
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        try:
            client = c.client()
            if client.answers():
                return client, True
        except CarapaxError:  # not written yet
            pass
        if reason := started.ended():
            raise Unavailable(f"The gateway did not start: {reason}")
        time.sleep(0.02)
    raise Unavailable(f"The gateway does not answer after {START_TIMEOUT_S:.0f} s.")


def serve(c: Context, o: Namespace) -> int:
    """Run the gateway here until it is stopped."""
    from carapax.surfaces.cli.local import ServeOptions

    if bool(o.tls_cert) != bool(o.tls_key):
        c.err.line(c.t("serve.both"))
        return codes.USAGE
    options = ServeOptions(
        o.host, o.port, Path(o.tls_cert) if o.tls_cert else None, Path(o.tls_key) if o.tls_key else None
    )
    banner = Banner(c.out, c.t)

    def on_ready(served: Served) -> None:
        if o.sample:
            try:
                sample_turn(c)
            except CarapaxError as error:
                c.print_error(error)
        banner.ready(served.url, served.code)
        c.out.line(c.t("serve.how"))

    return c.local.serve(options, banner, on_ready)


def sample_turn(c: Context) -> int:
    """One turn through the gateway's own door, every step with the guard's answer and its ledger entry."""
    from carapax.surfaces.cli.follow import Pump, follow
    from carapax.surfaces.cli.view import TurnView

    client, message = c.client(), c.t("sample.message")
    c.out.line(f"{pad(c.t('who.you'), 5)}{message}")
    pump = Pump(lambda: client.stream("POST", "/api/turns", {"text": message, "channel": "cli"}))
    view = TurnView(c.t, c.out, c.out, full=True)
    try:
        return follow(pump, view, client, None, lambda key: c.err.line(c.t(key))).exit_code()
    finally:
        pump.close()


def status(c: Context, o: Namespace) -> int:
    """What the gateway says of itself."""
    found = c.client().call("GET", "/api/status")
    if o.json:
        c.print_json(found)
        return codes.OK
    rows = [row for name, value in found.items() for row in _rows(name, value)]
    column = max((len(label) for label, _ in rows), default=0)
    for label, text in rows:
        c.out.line(pad(label, max(12, min(column, 24))), " ", text)
    return codes.OK


def _rows(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """One line per fact; a group of facts is one line, groups of groups one line each."""
    if name == "incidents":
        shown = (f"{one['number']} ({one['state']}): carapax incident show {one['number']}" for one in value)
        yield name, "; ".join(shown) or "none"
    elif name == "stopped":
        if value:
            yield name, "everything, by `carapax stop --all`; `carapax resume --all` lifts it"
    elif not isinstance(value, dict):
        label, text = worded(name, value)
        yield label, text
    elif any(isinstance(v, dict) for v in value.values()):
        for key, inner in value.items():
            yield from _rows(f"{name} {key}", inner)
    else:
        pairs = [worded(k, v) for k, v in value.items() if v not in (None, "")]
        yield name.replace("_", " "), ", ".join(f"{k} {v}" for k, v in pairs)


def worded(name: str, value: Any) -> tuple[str, str]:
    """A fact's name without its unit, and its value with it."""
    if name.endswith("_ms") and isinstance(value, int) and value < 10**12:
        seconds = value / 1000
        shown = (
            f"{seconds:.1f} s"
            if seconds < 120
            else f"{seconds / 60:.0f} min"
            if seconds < 7200
            else f"{seconds / 3600:.1f} h"
        )
        return name[:-3].replace("_", " "), shown
    if name.endswith("_usd_micro") or name == "usd_micro":
        return "USD", f"{int(value or 0) / 1_000_000:.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return name.replace("_", " "), f"{value:,}"
    text = str(value).strip()
    return name.replace("_", " "), text if "\n" not in text else text.splitlines()[0]


def stop(c: Context, o: Namespace) -> int:
    """Ask the gateway to end, and wait until it has; with `--all` halt everything at once."""
    if o.all:
        from carapax.surfaces.cli.stopping import stop_all

        return stop_all(c, o)
    client = c.client()
    stop_and_wait(client)
    if o.json:
        c.print_json({"stopped": True})
    else:
        c.out.line(c.t("stopped"))
    return codes.OK


def stop_and_wait(client: Client) -> None:
    """Raises Unavailable when it still answers after 10 s."""
    try:
        client.call("POST", "/api/stop")
    except Unavailable as error:
        # It may be gone before its answer was read; that is what was asked.
        if client.answers():
            raise error
        return
    until = time.monotonic() + STOP_TIMEOUT_S
    while client.answers():
        if time.monotonic() > until:
            raise Unavailable("The gateway still answers 10 s after it was asked to end.")
        time.sleep(0.02)


def token(c: Context, o: Namespace) -> int:
    """Create, list and revoke access tokens."""
    client = c.client()
    if o.action == "create":
        scopes = [s.strip() for s in o.scope.split(",") if s.strip()]
        made = client.call("POST", "/api/tokens", {"name": o.name, "scopes": scopes, "days": o.days})
        if o.json:
            c.print_json(made)
        else:
            c.out.line(str(made.get("value", "")))
            c.err.line(c.t("token.once", days=o.days, scopes=", ".join(scopes)))
        return codes.OK
    if o.action == "revoke":
        client.call("DELETE", f"/api/tokens/{quoted(o.id)}")
        c.err.line(c.t("token.gone", id=o.id))
        return codes.OK
    found = client.call("GET", "/api/tokens").get("tokens") or []
    if o.json:
        c.print_json({"tokens": found})
    else:
        _show_tokens(c, found)
    return codes.OK


def _show_tokens(c: Context, found: list[Mapping[str, Any]]) -> None:
    if not found:
        c.out.line(c.t("token.none"))
    now = int(time.time() * 1000)
    for entry in found:
        left = (int(entry.get("expires_ms", 0)) - now) // _DAY_MS
        state = "revoked" if entry.get("revoked") else "expired" if left < 0 else "days"
        shown = c.t(f"token.{state}", days=left)
        scopes = ",".join(entry.get("scopes") or [])
        c.out.line(
            f"{pad(str(entry.get('id', '')), 12)} {pad(str(entry.get('name', '')), 20)} {pad(scopes, 24)} ",
            ("grey", shown),
        )
