"""One ledger entry as one line: what happened, in the words of its kind.

Layer: surfaces/cli. `--json` shows the whole entry; this shows what a person looks for.
Law: an entry of a kind unknown here is still shown, as its body.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Body = Mapping[str, Any]


def entry_words(kind: str, body: Body) -> str:
    """What the entry says, without its index, time and kind."""
    say = _KINDS.get(kind)
    try:
        if say is not None:
            return say(body)
    except (KeyError, TypeError, AttributeError):  # another release's shape
        pass
    return json.dumps(body, ensure_ascii=False)


def _judged(body: Body) -> str:
    decision = body["decision"]
    return f"{body['summary']}  [{decision['answer']}: {decision['rule']}]"


def _receipt(body: Body) -> str:
    exit_code, changed, held = body.get("exit_code"), int(body["changed_count"]), body.get("held")
    parts = [f"of #{body['entry']}: {body['outcome']}"]
    parts += [f"exit {exit_code}"] if exit_code else []
    parts += [f"{changed} changed ({', '.join(str(c['path']) for c in body['changed'][:3])})"] if changed else []
    parts += [f"{held} deletions held back"] if held else []
    return f"{', '.join(parts)}, {body['duration_ms']} ms"


def _size(text: Body) -> str:
    return f"{text['bytes']} B, sha256 {str(text['sha256'])[:12]}…"


def _egress(body: Body) -> str:
    place = body["host"] if body["port"] == 443 else f"{body['host']}:{body['port']}"
    secrets = f", with {', '.join(body['secrets'])}" if body["secrets"] else ""
    return f"{body['tool']}: {body['method']} {place}{body['path']}{secrets}  [{body['answer']}: {body['rule']}]"


def _carried(body: Body) -> str:
    hosts = ", ".join(dict.fromkeys(str(each["host"]) for each in body["allowed"])) or "nowhere"
    sizes = f"{body['bytes_up']} B up, {body['bytes_down']} B down"
    return f"{body['tool']}: {body['requests']} requests ({hosts}), {body['refused']} refused, {sizes}"


def _delivered(body: Body) -> str:
    files = f", {len(body['files'])} files" if body["files"] else ""
    return f"to {body['place']}: {_size(body['text'])}{files}"


def _pairing(body: Body) -> str:
    where = body["channel"] or "any channel"
    return (
        f"a code for {body['sender']} on {where}"
        if body["sender"]
        else f"a code for {body['for']}, to be sent on {where}"
    )


def _decided(body: Body) -> str:
    return f"incident {body['incident']} by {body['by']}"


_KINDS: dict[str, Callable[[Body], str]] = {
    "message": lambda b: f"by {b['by']} through {b['channel']}: {_size(b['text'])}",
    "reply": lambda b: f"{_size(b['reply'])}, rests on {b['label']['integrity']}",
    "call": _judged,
    "denied": _judged,
    "asked": _judged,
    "malformed": lambda b: str(b["reason"]),
    "answered": lambda b: f"{b['approval']}: {b['state']} by {b['by']}",
    "receipt": _receipt,
    "released": lambda b: f"{b['files']} held changes done after a yes",
    "unknown": lambda b: f"of #{b['entry']}: nobody knows how it ended, {b['changed_count']} changed",
    "interrupted": lambda b: f"turn {b['turn']}",
    "egress": _egress,
    "egress.seen": lambda b: f"{b['tool']}: {b['kind']} {b['detail']}",
    "egress.closed": _carried,
    **{
        f"vault.{action}": lambda b: " ".join(filter(None, (b["handle"], b["detail"])))
        for action in (
            "set",
            "rotate",
            "confirm",
            "revert",
            "renew",
            "bind",
            "unbind",
            "remove",
            "protect",
            "log_altered",
        )
    },
    "vault.taken_in": lambda b: ", ".join(b["handles"]),
    "incident.opened": lambda b: f"incident {b['number']}: {b['sentence']}",
    **{f"incident.{act}": _decided for act in ("resumed", "killed", "kept")},
    "everything.stopped": lambda b: f"{b['turns']} turns ended",
    "everything.resumed": lambda b: f"by {b['by']}",
    "delivered": _delivered,
    "channel.added": lambda b: f"{b['channel']} ({b['kind']}) by {b['by']}",
    "channel.removed": lambda b: f"{b['channel']} by {b['by']}",
    **{f"channel.{how}": lambda b: f"{b['channel']}: {b['reason']}" for how in ("refused", "gave_up")},
    "pairing": _pairing,
    "paired": lambda b: f"{b['sender']} on {b['channel']} is {b['person']} ({b['by']})",
    "unpaired": lambda b: f"{b['sender']} on {b['channel']} by {b['by']}",
    **{f"message.{act}": lambda b: f"{b['work']} ({b['kind']}) by {b['by']}" for act in ("retried", "dropped")},
    "resumed": lambda b: f"turn {b['turn']}",
    "undo": lambda b: f"{b['files']} changes of turn {b['turn']}, by {b['by']}",
    "token.created": lambda b: f"{b['name']} ({', '.join(b['scopes'])})",
    "token.revoked": lambda b: f"{b['token']} by {b['by']}",
    "session.deleted": lambda b: f"{b['session']} by {b['by']}",
    "stop.asked": lambda b: f"by {b['by']}",
    "gateway.started": lambda b: f"version {b['version']}, policy {str(b['policy'])[:12]}…",
    "gateway.stopped": lambda b: f"version {b['version']}",
}
