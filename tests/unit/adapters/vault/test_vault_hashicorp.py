"""Secrets that stay in a HashiCorp Vault, against the endpoints it answers on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from carapax.adapters.vault.hashicorp import (
    ANSWER_BYTES,
    LEASE_MS,
    AppRole,
    KvVault,
    Remote,
    RemoteResolver,
    parse_remote,
)
from carapax.core.terms.error import CarapaxError, Conflict, Malformed, StoreUnavailable
from tests.fakes.hashicorp import ROLE, ROOT, SECRET_ID, FakeHashicorp
from tests.fakes.served import served
from tests.unit.adapters.vault.rig import VALUE, Clock, found_in_clear, opened

PLACE = Remote("team/mail", "password")


def told(value: str | None) -> Callable[[], Awaitable[str | None]]:
    async def give() -> str | None:
        return value

    return give


def with_kv(
    fake: FakeHashicorp, act: Callable[[KvVault], Awaitable[Any]], *, login: Any = None, clock: Clock | None = None,
    **more: Any,
) -> Any:  # fmt: skip
    async def run(address: str) -> Any:
        async with httpx2.AsyncClient(base_url=address, trust_env=False) as client:
            return await act(KvVault(client, login or told(ROOT), clock or Clock(), **more))

    with served(fake.answer) as address:
        return asyncio.run(run(address))


def failing(fake: FakeHashicorp, act: Callable[[KvVault], Awaitable[Any]], **more: Any) -> CarapaxError:
    with pytest.raises(CarapaxError) as caught:
        with_kv(fake, act, **more)
    error: BaseException | None = caught.value
    while error is not None:
        assert not any(word in repr(error) for word in (ROOT, SECRET_ID, VALUE, "hvs."))
        error = error.__cause__ or error.__context__
    return caught.value


def stocked() -> FakeHashicorp:
    return FakeHashicorp(versions={"team/mail": [{"password": "old"}, {"password": VALUE, "user": "x"}]})


def test_the_newest_version_is_read() -> None:
    fake = stocked()
    assert with_kv(fake, lambda kv: kv.read(PLACE)) == VALUE
    assert [each.path for each in fake.asked] == ["/v1/auth/token/lookup-self", "/v1/secret/data/team/mail"]
    assert all(each.headers["x-vault-request"] == "true" for each in fake.asked)


@pytest.mark.parametrize("place", [Remote("team/none"), Remote("team/mail", "none")])
def test_what_is_not_there_is_none(place: Remote) -> None:
    assert with_kv(stocked(), lambda kv: kv.read(place)) is None


def test_a_deleted_version_is_none() -> None:
    fake = stocked()
    fake.versions["team/mail"].append(None)
    assert with_kv(fake, lambda kv: kv.read(PLACE)) is None


def test_paths_are_listed() -> None:
    fake = stocked()
    fake.versions["top"] = [{}]
    assert with_kv(fake, lambda kv: kv.paths()) == ("team/", "top")
    assert with_kv(fake, lambda kv: kv.paths("team")) == ("mail",)
    assert with_kv(fake, lambda kv: kv.paths("none")) == ()


def test_a_version_is_written_only_over_the_one_that_was_read() -> None:
    fake = stocked()

    async def act(kv: KvVault) -> None:
        assert await kv.write("team/mail", {"password": "new"}, version=2) == 3
        with pytest.raises(Conflict):
            await kv.write("team/mail", {"password": "lost"}, version=2)
        assert await kv.write("team/fresh", {"a": "b"}, version=0) == 1
        assert await kv.write("team/fresh", {"a": "c"}) == 2

    with_kv(fake, act)
    assert fake.versions["team/mail"][-1] == {"password": "new"} and fake.versions["team/fresh"][-1] == {"a": "c"}


def test_a_role_logs_in_once_and_renews_before_its_token_ends() -> None:
    fake, clock = stocked(), Clock()

    async def act(kv: KvVault) -> None:
        for _ in range(3):
            assert await kv.read(PLACE) == VALUE
        clock.now += 2_401_000  # past two thirds of an hour
        assert await kv.read(PLACE) == VALUE
        clock.now += 4_000_000  # past its end
        assert await kv.read(PLACE) == VALUE

    with_kv(fake, act, login=AppRole(ROLE, told(SECRET_ID)), clock=clock)
    paths = [each.path.rsplit("/", 1)[-1] for each in fake.asked]
    assert paths.count("login") == 2 and paths.count("renew-self") == 1


def test_a_revoked_role_token_is_replaced_once() -> None:
    fake = stocked()

    async def act(kv: KvVault) -> None:
        assert await kv.read(PLACE) == VALUE
        fake.tokens.clear()
        assert await kv.read(PLACE) == VALUE

    with_kv(fake, act, login=AppRole(ROLE, told(SECRET_ID)))
    assert [each.path for each in fake.asked].count("/v1/auth/approle/login") == 2


def test_a_wrong_role_is_told() -> None:
    error = failing(stocked(), lambda kv: kv.read(PLACE), login=AppRole(ROLE, told("wrong")))
    assert "AppRole" in error.what


def test_a_token_that_ends_and_can_be_renewed_is_renewed() -> None:
    fake, clock = stocked(), Clock()
    fake.ttl_s = 900

    async def act(kv: KvVault) -> None:
        await kv.read(PLACE)
        clock.now += 601_000
        await kv.read(PLACE)

    with_kv(fake, act, clock=clock)
    assert [each.path for each in fake.asked].count("/v1/auth/token/renew-self") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sealed": True}, "is sealed"),
        ({"broken": 429}, "too many requests"),
        ({"broken": 500}, "answered 500"),
        ({"broken": 503}, "not in service"),
        ({"broken": 400}, "answered 400"),
        ({"broken": 307}, "answered 307"),
        ({"tokens": set()}, "refuses this token"),
        ({"namespace": "team-a"}, "refuses this token"),
    ],
)
def test_each_failure_has_its_own_words(change: dict[str, Any], said: str) -> None:
    fake = stocked()
    for name, value in change.items():
        setattr(fake, name, value)
    error = failing(fake, lambda kv: kv.read(PLACE))
    assert isinstance(error, StoreUnavailable) and said in error.what and error.next_step


def test_the_namespace_is_sent() -> None:
    fake = stocked()
    fake.namespace = "team-a"
    assert with_kv(fake, lambda kv: kv.read(PLACE), namespace="team-a") == VALUE


def test_without_a_token_nothing_is_asked() -> None:
    fake = stocked()
    error = failing(fake, lambda kv: kv.read(PLACE), login=told(None))
    assert "no token" in error.what and fake.asked == []


def test_an_absent_server_and_a_flood_are_told() -> None:
    async def absent() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(_unreachable), base_url="http://x.invalid") as c:
            await KvVault(c, told(ROOT), Clock()).read(PLACE)

    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        asyncio.run(absent())
    assert caught.value.__cause__ is None and caught.value.__suppress_context__

    async def ask(address: str) -> None:
        async with httpx2.AsyncClient(base_url=address, trust_env=False) as client:
            await KvVault(client, told(ROOT), Clock()).read(PLACE)

    with (
        served(lambda asked: (200, b" " * (ANSWER_BYTES + 1))) as address,
        pytest.raises(StoreUnavailable, match="longer"),
    ):
        asyncio.run(ask(address))


def _unreachable(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{", b'{"data": 1}', b'{"data": {"data": {"password": 7}}}', b"[" * 5000]
)
def test_an_odd_answer_is_none_or_refused(answer: bytes) -> None:
    async def ask(address: str) -> str | None:
        async with httpx2.AsyncClient(base_url=address, trust_env=False) as client:
            return await KvVault(client, told(ROOT), Clock()).read(PLACE)

    with served(lambda asked: (200, answer)) as address:
        try:
            assert asyncio.run(ask(address)) is None
        except StoreUnavailable as error:
            assert "one line" in error.what


@pytest.mark.parametrize(
    "text", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a?b", "a b", "a%2fb", "x" * 513, "a#b c", "a#" + "b" * 129, "a#b#c"]
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_remote(text)


def test_a_place_is_parsed() -> None:
    assert parse_remote("team/mail#password") == PLACE and parse_remote("a") == Remote("a", "value")


def test_a_remote_secret_is_bound_here_and_kept_there(tmp_path: Path) -> None:
    fake, clock = stocked(), Clock()

    async def act(kv: KvVault) -> None:
        vault = opened(tmp_path, resolvers={"remote": RemoteResolver(kv)})
        vault.put_kept("mail", "remote", PLACE.render())
        assert vault.find_secret("mail") is None and list(vault.held_values()) == []
        assert await vault.value("mail") == VALUE
        fake.versions["team/mail"].append({"password": "renewed-there"})
        clock.now += LEASE_MS - 1
        assert await vault.value("mail") == VALUE and vault.find_secret("mail") == VALUE
        assert list(vault.held_values()) == [VALUE]  # also looked for in what leaves, while it is here
        clock.now += 1
        assert vault.find_secret("mail") is None
        assert await vault.value("mail") == "renewed-there"
        fake.sealed = True
        vault.lock()
        assert list(vault.held_values()) == []
        with pytest.raises(StoreUnavailable):
            await vault.value("mail")
        assert [entry.kind for entry in vault.entries()[1]] == ["remote"]

    with_kv(fake, act, clock=clock)
    assert found_in_clear(tmp_path, VALUE, "renewed-there") == []
    with pytest.raises(StoreUnavailable, match="kind 'remote'"):
        asyncio.run(opened(tmp_path).value("mail"))
