"""`carapax channels add`: ask for what a kind needs, seal its secrets, let the platform be asked, give a code.

Layer: surfaces/cli. What a kind asks for comes from the gateway; what is a secret goes to the vault of this machine.
Laws: a secret's value is never an argument, never goes to the gateway, is never shown; when the channel was not added, the
vault is as it was before.
"""

from __future__ import annotations

import re
from pathlib import Path

from carapax.core.channel.oauth import render_oauth
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.channels import OK_MARK, all_channels, handle_of, show_facts
from carapax.surfaces.cli.client import GatewaySaid
from carapax.surfaces.cli.terminal import pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from carapax.surfaces.cli.context import Context

    Asked = Mapping[str, Any]

SECRET_BYTES = 8_192
MOST_TRIES = 3
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HANDLE_CHARS = 64
_STORED = "vault:"


def add_channel(c: Context, o: Namespace) -> int:
    """Connect one; without a kind, show what can be connected."""
    kinds = c.client().call("GET", "/api/channel-kinds").get("kinds") or []
    if not o.kind:
        return _show_kinds(c, o, kinds)
    kind = _kind(c, kinds, o.kind)
    name = o.name or str(kind["kind"])
    _check_name(c, name, kind)
    values, secrets = _given(c, o, kind)
    asks = c.interactive and not o.json
    there = asks and any(each.get("name") == name for each in all_channels(c))
    if there and not c.confirm(c.t("channels.replace", name=name)):
        c.err.line(c.t("confirm.not_done"))
        return codes.FAILED
    _ask_missing(c, kind, values, secrets, asks=asks)
    return _Adding(c, name, kind).run(values, secrets, json=bool(o.json))


def _show_kinds(c: Context, o: Namespace, kinds: Sequence[Mapping[str, Any]]) -> int:
    if o.json:
        c.print_json({"kinds": kinds})
        return codes.OK
    c.out.line(c.t("channels.kinds" if kinds else "channels.no_kinds"))
    for kind in kinds:
        asks = ", ".join(str(asked["name"]) for asked in kind.get("asks") or () if not asked.get("optional"))
        c.out.line("  ", pad(str(kind["kind"]), 14), " ", pad(str(kind["title"]), 22), " ", ("grey", asks))
    c.out.line(("grey", c.t("channels.add_how")))
    return codes.OK


def _kind(c: Context, kinds: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    known = {str(kind["kind"]): kind for kind in kinds}
    if wanted in known:
        return known[wanted]
    from difflib import get_close_matches

    titles = {str(kind["title"]).lower(): str(kind["kind"]) for kind in kinds}
    near = get_close_matches(wanted.lower(), [*known, *titles], n=1, cutoff=0.6)
    names = ", ".join(known)
    told = (
        c.t("channels.near", near=titles.get(near[0], near[0]), kinds=names)
        if near
        else c.t("channels.there_are", kinds=names)
    )
    raise NotFound(c.t("channels.no_kind", kind=wanted), next_step=told)


def _check_name(c: Context, name: str, kind: Mapping[str, Any]) -> None:
    longest = max((len(handle_of(name, str(asked["name"]))) for asked in kind["asks"]), default=0)
    if not _NAME.fullmatch(name) or longest > _HANDLE_CHARS:
        raise Malformed(c.t("channels.bad_name", name=name), next_step=c.t("channels.bad_name_next"))


# what was given on the command line
def _given(c: Context, o: Namespace, kind: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The answers and the secrets (or "vault:HANDLE") that stand on the command line."""
    asks = {str(asked["name"]): asked for asked in kind["asks"]}
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for text in o.given:
        key, value = _pair(c, text, asks, kind)
        if asks[key].get("secret"):
            raise Malformed(c.t("channels.is_secret", key=key), next_step=c.t("channels.is_secret_next", key=key))
        _check(c, asks[key], value)
        values[key] = value
    for text in o.secrets:
        key, source = _pair(c, text, asks, kind)
        if not asks[key].get("secret"):
            raise Malformed(c.t("channels.no_secret", key=key), next_step=c.t("channels.no_secret_next", key=key))
        secrets[key] = _secret(c, key, source)
    return values, secrets


def _pair(c: Context, text: str, asks: Mapping[str, Asked], kind: Mapping[str, Any]) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise Malformed(c.t("channels.not_pair", given=key[:40] or "="))
    if key not in asks:
        raise Malformed(
            c.t("channels.no_key", title=kind["title"], key=key[:40]),
            next_step=c.t("channels.no_key_next", keys=", ".join(asks)),
        )
    return key, value


def _secret(c: Context, key: str, source: str) -> str:
    """The value from where it is said to be. Raises Malformed, also when it is the value itself."""
    if source.startswith(_STORED) and len(source) > len(_STORED):
        return source
    if source == "-":
        found = c.stdin.readline(SECRET_BYTES)
    elif source.startswith("@") and len(source) > 1:
        with Path(source[1:]).open("rb") as file:
            found = file.read(SECRET_BYTES + 1).decode("utf-8", "surrogateescape")
    elif source.startswith("env:"):
        found = c.env.get(source[4:], "")
    else:
        raise Malformed(c.t("channels.is_secret", key=key), next_step=c.t("channels.is_secret_next", key=key))
    if not found.strip():
        raise Malformed(c.t("channels.no_value", key=key, source=source), next_step=c.t("channels.no_value_next"))
    return found.strip("\r\n")


def _check(c: Context, asked: Asked, value: str) -> None:
    pattern = str(asked.get("pattern") or "")
    if value and pattern and not re.fullmatch(pattern, value):
        raise Malformed(c.t("channels.wrong", key=asked["name"]), next_step=_question(c, asked))


def _question(c: Context, asked: Asked) -> str:
    return str(asked["french" if c.t.language == "fr" else "english"])


# what is asked for
def _ask_missing(
    c: Context, kind: Mapping[str, Any], values: dict[str, str], secrets: dict[str, str], *, asks: bool
) -> None:
    for asked in kind["asks"]:
        key, into = str(asked["name"]), secrets if asked.get("secret") else values
        if key in into:
            continue
        answer = _asked(c, asked) if asks else _default(asked)
        if answer:
            into[key] = answer
        elif not asked.get("optional"):
            way = "channels.missing_secret" if asked.get("secret") else "channels.missing_set"
            raise Malformed(
                c.t("channels.missing", title=kind["title"], key=key, question=_question(c, asked)),
                next_step=c.t(way, key=key),
            )


def _default(asked: Asked) -> str:
    return "" if asked.get("secret") else str(asked.get("default") or "")


def _asked(c: Context, asked: Asked) -> str:
    """What a person answers; asked again when it does not look right. Raises Malformed after the third time."""
    default = str(asked.get("default") or "")
    notes = [c.t("channels.optional")] if asked.get("optional") else []
    if asked.get("secret"):
        return _hidden(f"{_question(c, asked)} ({', '.join([*notes, c.t('channels.hidden')])}): ")
    beside = f" ({', '.join(notes)})" if notes else ""
    for left in range(MOST_TRIES - 1, -1, -1):
        c.err.text(f"{_question(c, asked)}{beside}{f' [{default}]' if default else ''} ▸ ")
        answer = c.stdin.readline(SECRET_BYTES).strip() or default
        try:
            _check(c, asked, answer)
        except Malformed as error:
            if not left:
                raise
            c.err.line(("amber", error.what))
            continue
        return answer
    return ""


def _hidden(prompt: str) -> str:
    import getpass

    return getpass.getpass(prompt).strip()


class _Adding:
    """One channel on its way in: its secrets are put back as they were when it does not get there."""

    def __init__(self, c: Context, name: str, kind: Mapping[str, Any]) -> None:
        self._c, self._name, self._kind = c, name, kind
        self._back: list[Callable[[], None]] = []
        self._keep: list[Callable[[], None]] = []

    def run(self, values: Mapping[str, str], secrets: Mapping[str, str], *, json: bool) -> int:
        c = self._c
        try:
            handles = {key: self._sealed(key, value, values) for key, value in secrets.items()}
        except BaseException:
            self._undo()
            raise
        if not json:
            c.err.passing(c.t("channels.testing"))
        wish = {"name": self._name, "kind": self._kind["kind"], "values": values, "secrets": handles}
        try:
            added = c.client().call("POST", "/api/channels", wish)
        except GatewaySaid:
            self._undo()
            raise
        except CarapaxError:
            # Whether it was kept is unknown, so its secrets stay: a channel that is there would lack them.
            c.err.line(("amber", c.t("channels.unknown", name=self._name)))
            raise
        for settle in self._keep:
            settle()
        code = self._code()
        if json:
            c.print_json({**added, "pairing": code})
        else:
            self._tell(added, code, called=self._is_called(values))
        return codes.OK

    def _undo(self) -> None:
        """The vault as it was."""
        for undo in reversed(self._back):
            undo()

    def _sealed(self, key: str, value: str, values: Mapping[str, str]) -> str:
        """Keep a secret under this channel's name for it; a value that was there before comes back if this fails."""
        c, handle = self._c, handle_of(self._name, key)
        if value.startswith(_STORED):
            return value[len(_STORED) :]
        if c.env.get("CARAPAX_URL"):
            raise Conflict(c.t("channels.elsewhere"), next_step=c.t("channels.elsewhere_next", key=key))
        vault = c.local.vault()
        if vault.locked() and c.interactive:
            vault.open(_hidden(f"{c.t('vault.passphrase')} "))
        words = next(asked for asked in self._kind["asks"] if asked["name"] == key).get("oauth")
        there = any(each["handle"] == handle for each in vault.list()["secrets"])
        if words and there:
            raise Conflict(
                c.t("channels.sealed", name=self._name), next_step=c.t("channels.sealed_next", name=self._name)
            )
        if there:
            vault.rotate(handle, value)
            self._back.append(lambda: vault.settle(handle, keep_new=False))
            self._keep.append(lambda: vault.settle(handle, keep_new=True))
        else:
            kept = ("oauth", render_oauth(words, values, value)) if words else ("plain", value)
            vault.set(handle, kept[1], kept[0], ())
            self._back.append(lambda: vault.remove(handle))
        return handle

    def _code(self) -> Mapping[str, Any] | None:
        try:
            return self._c.client().call("POST", "/api/pairings", {"channel": self._name})
        except CarapaxError:  # the channel stands; a code can be made later
            return None

    def _is_called(self, values: Mapping[str, str]) -> bool:
        """Whether the platform calls this machine; where its address is asked for, only when it was given."""
        asked = any(each["name"] == "public_url" for each in self._kind["asks"])
        return bool(self._kind.get("hook")) and (not asked or bool(values.get("public_url")))

    def _tell(self, added: Mapping[str, Any], code: Mapping[str, Any] | None, *, called: bool) -> None:
        c = self._c
        c.out.line(OK_MARK, " ", c.t("channels.added", name=self._name, title=self._kind["title"]))
        show_facts(c, added.get("facts") or [])
        if called:
            c.out.line(("grey", c.t("channels.hook_at", name=self._name)))
        if code is None:
            c.out.line(c.t("channels.pair_later", name=self._name))
        else:
            c.out.line(c.t("channels.pair_now"))
            c.out.line("    ", str(code["code"]))
