"""The channels, people and given-up messages of the fake gateway, in memory.

Kinds are scripted in `kinds`; adding one "asks the platform", which answers with `facts` or raises `refuses`. A hook is
answered by `hooks[NAME]`, a function of the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from carapax.core.channel.pairing import TTL_MS, Matched, Offer, decide_code, hash_code, show_code, spell_code
from carapax.core.terms.channel import HookAnswer, HookRequest
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, NotFound, Refused
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.principal import Principal, Role, Scope
from carapax.core.terms.work import Work, WorkState
from carapax.ports.gateway import AskedFor, ChannelKind, ChannelState, LogLine, PairingCode
from carapax.ports.store import Account, Pairing

TELEGRAM = ChannelKind(
    "telegram",
    "Telegram",
    hook=True,
    asks=(
        AskedFor("token", "The token that BotFather gave you", "Le jeton que BotFather vous a donné", secret=True),
        AskedFor("mode", "poll or hook", "poll ou hook", default="poll", pattern="poll|hook"),
        AskedFor("hook_secret", "A secret of your own for the hook", "Un secret à vous", secret=True, optional=True),
    ),
)
IRC = ChannelKind(
    "irc", "IRC", asks=(AskedFor("server", "The server's name", "Le nom du serveur", pattern=r"[a-z0-9.:-]+"),
                        AskedFor("nick", "Its name there", "Son nom là-bas", optional=True))
)  # fmt: skip


class FakeChannels:
    """Mixed into FakeGateway; `clock` is the gateway's."""

    clock: Any

    def __init__(self) -> None:
        self.kinds: dict[str, ChannelKind] = {"telegram": TELEGRAM, "irc": IRC}
        self.channels: dict[str, ChannelState] = {}
        self.answers_of: dict[str, tuple[dict[str, str], dict[str, str]]] = {}  # name → values, handles
        self.logs: dict[str, list[LogLine]] = {}
        self.facts: Sequence[str] = ("@carapax_bot", "may read groups: no")
        self.refuses: CarapaxError | None = None
        self.hooks: dict[str, Callable[[HookRequest], HookAnswer]] = {}
        self.hook_sizes: dict[str, int] = {}
        self.hooked: list[tuple[str, HookRequest]] = []
        self.pairings: list[Pairing] = []
        self.accounts: dict[tuple[str, str], Account] = {}
        self.dead: dict[str, Work] = {}
        self._codes = 0

    def _may(self, principal: Principal, *, change: bool = False) -> None:
        scopes = {Scope.ADMIN} if change else {Scope.READ, Scope.ADMIN}
        if principal.role is not Role.OWNER or not principal.scopes & scopes:
            raise Refused(
                "This token may not look at channels." if not change else "This token may not change channels."
            )

    def _channel(self, name: str) -> ChannelState:
        if name not in self.channels:
            raise NotFound(f"There is no channel {name!r}.", next_step="`carapax channels` lists them.")
        return self.channels[name]

    async def list_kinds(self, principal: Principal) -> Sequence[ChannelKind]:
        self._may(principal)
        return list(self.kinds.values())

    async def list_channels(self, principal: Principal) -> Sequence[ChannelState]:
        self._may(principal)
        return list(self.channels.values())

    async def add_channel(
        self, principal: Principal, name: str, kind: str, values: Mapping[str, str], secrets: Mapping[str, str]
    ) -> tuple[ChannelState, Sequence[str]]:
        self._may(principal, change=True)
        if kind not in self.kinds:
            raise NotFound(f"There is no kind {kind!r}.")
        for asked in self.kinds[kind].asks:
            given = secrets if asked.secret else values
            if not asked.optional and not given.get(asked.name):
                raise Malformed(f"{self.kinds[kind].title} needs {asked.name}.")
        if self.refuses is not None:
            raise self.refuses
        self.answers_of[name] = (dict(values), dict(secrets))
        now = self.clock.now_ms()
        self.channels[name] = ChannelState(name, kind, self.kinds[kind].title, "up", "@carapax_bot", now)
        self.logs[name] = [LogLine(now, "connected as @carapax_bot")]
        return self.channels[name], self.facts

    async def test_channel(self, principal: Principal, name: str) -> Sequence[str]:
        self._may(principal, change=True)
        self._channel(name)
        if self.refuses is not None:
            raise self.refuses
        return self.facts

    async def remove_channel(self, principal: Principal, name: str) -> None:
        self._may(principal, change=True)
        self._channel(name)
        del self.channels[name], self.logs[name]
        self.accounts = {key: each for key, each in self.accounts.items() if each.channel != name}

    async def channel_log(self, principal: Principal, name: str, *, limit: int = 100) -> Sequence[LogLine]:
        self._may(principal)
        self._channel(name)
        return self.logs[name][-limit:]

    def hook_bytes(self, name: str) -> int:
        return self.hook_sizes.get(name, 1 << 20) if name in self.hooks else 0

    async def hook(self, name: str, request: HookRequest) -> HookAnswer:
        self.hooked.append((name, request))
        return self.hooks[name](request) if name in self.hooks else HookAnswer(404)

    # people
    def _new_code(self) -> str:
        self._codes += 1
        return spell_code(31**7 * 5 + self._codes * 7_919)

    def ask_in(self, channel: str, sender: str, name: str = "") -> str:
        """A stranger asks: the code that they are given."""
        code, now = self._new_code(), self.clock.now_ms()
        self.pairings.append(Pairing(hash_code(code), channel, sender, name, "", now, now + TTL_MS))
        return show_code(code)

    async def make_pairing(self, principal: Principal, channel: str, person: str) -> PairingCode:
        self._may(principal, change=True)
        if channel:
            self._channel(channel)
        code, now, who = self._new_code(), self.clock.now_ms(), person or principal.id
        self.pairings.append(Pairing(hash_code(code), channel, "", "", who, now, now + TTL_MS))
        return PairingCode(show_code(code), channel, who, now + TTL_MS)

    async def accept_pairing(self, principal: Principal, code: str, person: str) -> Account:
        self._may(principal, change=True)
        asked = [each for each in self.pairings if each.sender]
        now = self.clock.now_ms()
        offers = [Offer(each.hash, each.channel, each.expires_ms) for each in asked]
        found = decide_code(code, offers, channel="", tried_ms=(), now_ms=now)
        if not isinstance(found, Matched):
            raise NotFound("No such code waits: it is wrong, used, or older than an hour.")
        pairing = asked[found.at]
        self.pairings.remove(pairing)
        who = PrincipalId(person or principal.id)
        account = Account(pairing.channel, pairing.sender, who, pairing.name, now, f"code:{principal.id}")
        self.accounts[account.channel, account.sender] = account
        return account

    async def list_pairings(self, principal: Principal) -> Sequence[Pairing]:
        self._may(principal)
        return list(self.pairings)

    async def list_accounts(self, principal: Principal) -> Sequence[Account]:
        self._may(principal)
        return list(self.accounts.values())

    async def drop_account(self, principal: Principal, channel: str, sender: str) -> None:
        self._may(principal, change=True)
        if (channel, sender) not in self.accounts:
            raise NotFound(f"Nobody is {sender!r} on {channel}.")
        del self.accounts[channel, sender]

    # what was given up
    def give_up(self, kind: str, key: str, error: str) -> Work:
        """A message that could not be delivered."""
        work = Work(kind, key, "lane", '{"text":"private"}', self.clock.now_ms(), WorkState.DEAD, 5, error=error)
        self.dead[work.short] = work
        return work

    def _dead(self, short: str) -> Work:
        found = [work for at, work in self.dead.items() if short and at.startswith(short)]
        if len(found) > 1:
            raise Conflict(f"{len(found)} begin with {short!r}.")
        if not found:
            raise NotFound(f"Nothing that was given up is called {short!r}.")
        return found[0]

    async def list_dead(self, principal: Principal) -> Sequence[Work]:
        self._may(principal)
        return list(self.dead.values())

    async def retry_dead(self, principal: Principal, short: str) -> Work:
        self._may(principal, change=True)
        work = self._dead(short)
        del self.dead[work.short]
        return replace(work, state=WorkState.WAITING, attempts=0)

    async def drop_dead(self, principal: Principal, short: str) -> Work:
        self._may(principal, change=True)
        work = self._dead(short)
        del self.dead[work.short]
        return work
