"""Tokens that run out, against a token endpoint on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from carapax.adapters.vault import sealed
from carapax.adapters.vault.oauth import ANSWER_BYTES, OAuth, OAuthResolver, form_post, parse_oauth
from carapax.adapters.vault.sealed import SealedVault
from carapax.core.terms.error import Malformed, StoreUnavailable
from tests.fakes.served import Answer, Asked, served
from tests.unit.adapters.vault.rig import Clock, found_in_clear, opened

REFRESH, ACCESS, CLIENT = "rt-Zebra41-lantern-first", "at-Maple77-harbour-first", "cs-Otter19-granite"


class Endpoint:
    """A token endpoint that rotates: each refresh token counts once."""

    def __init__(self) -> None:
        self.good = REFRESH
        self.seen: list[Asked] = []
        self.answers: list[Answer] = []
        self.lives_s: object = 3600
        self.rotates = True

    def answer(self, asked: Asked) -> Answer:
        self.seen.append(asked)
        if self.answers:
            return self.answers.pop(0)
        if asked.form.get("grant_type") == "client_credentials" and asked.form.get("client_secret") == CLIENT:
            return 200, {
                "access_token": f"{ACCESS}-{len(self.seen)}",
                "token_type": "Bearer",
                "refresh_token": "unasked",
            }
        if asked.form.get("refresh_token") != self.good:
            return 400, {"error": "invalid_grant", "error_description": f"unknown token {asked.form['refresh_token']}"}
        number = len(self.seen)
        answer: dict[str, Any] = {"access_token": f"{ACCESS}-{number}", "token_type": "Bearer"}
        if self.lives_s is not None:
            answer["expires_in"] = self.lives_s
        if self.rotates:
            self.good = f"rt-rotated-{number}"
            answer["refresh_token"] = self.good
        return 200, answer


def with_vault(
    root: Path, endpoint: Endpoint, act: Callable[[SealedVault, OAuth], Awaitable[Any]], *, clock: Clock | None = None,
    **fields: Any,
) -> Any:  # fmt: skip
    async def run(address: str) -> Any:
        async with httpx2.AsyncClient(trust_env=False) as client:
            told = clock or Clock()
            vault = opened(root, clock=told, resolvers={"oauth": OAuthResolver(form_post(client), told)})
            token = replace(OAuth(f"{address}/token", "client-7", REFRESH, CLIENT), **fields)
            vault.put_kept("mail", "oauth", token.render())
            return await act(vault, token)

    with served(endpoint.answer) as address:
        return asyncio.run(run(address))


def test_a_token_is_renewed_when_less_than_a_minute_is_left(tmp_path: Path) -> None:
    endpoint, clock = Endpoint(), Clock()

    async def act(vault: SealedVault, token: OAuth) -> None:
        assert await vault.value("mail") == f"{ACCESS}-1"
        clock.now += 3_539_000
        assert await vault.value("mail") == f"{ACCESS}-1" and len(endpoint.seen) == 1
        clock.now += 2_000
        assert await vault.value("mail") == f"{ACCESS}-2"
        assert vault.find_secret("mail") == f"{ACCESS}-2"
        assert set(vault.held_values()) == {f"{ACCESS}-2", "rt-rotated-2", CLIENT}

    with_vault(tmp_path, endpoint, act, clock=clock)
    assert endpoint.seen[0].form == {
        "grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": "client-7", "client_secret": CLIENT,
    }  # fmt: skip
    assert endpoint.seen[1].form["refresh_token"] == "rt-rotated-1"
    assert found_in_clear(tmp_path, REFRESH, f"{ACCESS}-2", CLIENT, "rt-rotated-2") == []
    assert [each.action for each in opened(tmp_path).pending_changes()] == ["set", "renew", "renew"]


def test_many_at_once_renew_once(tmp_path: Path) -> None:
    endpoint = Endpoint()

    async def act(vault: SealedVault, token: OAuth) -> None:
        assert set(await asyncio.gather(*(vault.value("mail") for _ in range(20)))) == {f"{ACCESS}-1"}

    with_vault(tmp_path, endpoint, act)
    assert len(endpoint.seen) == 1


def test_a_rotated_refresh_token_is_stored_before_the_access_token_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint()

    async def act(vault: SealedVault, token: OAuth) -> None:
        with monkeypatch.context() as patched:

            def full(*given: object) -> None:
                raise StoreUnavailable("No space is left.")

            patched.setattr(sealed.Folder, "write", full)
            with pytest.raises(StoreUnavailable, match="No space"):
                await vault.value("mail")
        assert len(endpoint.seen) == 1

    with_vault(tmp_path, endpoint, act)


def test_what_a_person_set_meanwhile_counts(tmp_path: Path) -> None:
    endpoint = Endpoint()

    async def act(vault: SealedVault, token: OAuth) -> None:
        def meanwhile(asked: Asked) -> Answer:
            opened(tmp_path).put_secret("mail", "set-by-a-person")
            return 200, {"access_token": "late", "token_type": "bearer"}

        endpoint.answer = meanwhile  # type: ignore[method-assign]
        await vault.value("mail")
        assert vault.find_secret("mail") == "set-by-a-person" and await vault.value("mail") == "set-by-a-person"

    async def run() -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            vault = opened(tmp_path, resolvers={"oauth": OAuthResolver(form_post(client), Clock())})
            with served(lambda asked: endpoint.answer(asked)) as address:
                token = OAuth(f"{address}/token", "client-7", REFRESH)
                vault.put_kept("mail", "oauth", token.render())
                await act(vault, token)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": "invalid_grant", "error_description": "secret words"}), "invalid_grant"),
        ((401, {"error": "invalid_client"}), "invalid_client"),
        ((400, {"error": "<script>"}), "400"),
        ((403, b"not json"), "403"),
        ((429, {}), "answered 429"),
        ((500, b""), "answered 500"),
        ((302, b"", {"location": "https://127.0.0.1:9/evil"}), "answered 302"),
        ((200, b"[]"), "no bearer token"),
        ((200, {"access_token": "", "token_type": "bearer"}), "no bearer token"),
        ((200, {"access_token": "a\nb", "token_type": "bearer"}), "no bearer token"),
        ((200, {"access_token": "abc", "token_type": "mac"}), "no bearer token"),
        ((200, {"access_token": 7}), "no bearer token"),
        ((200, b" " * (ANSWER_BYTES + 1)), "could not be reached"),
    ],
)
def test_each_refusal_has_its_own_words_and_no_token(tmp_path: Path, answer: Answer, said: str) -> None:
    endpoint = Endpoint()

    async def act(vault: SealedVault, token: OAuth) -> None:
        endpoint.answers = [answer]
        with pytest.raises(StoreUnavailable) as caught:
            await vault.value("mail")
        assert said in caught.value.what and caught.value.next_step
        error: BaseException | None = caught.value
        while error is not None:
            assert not any(word in repr(error) for word in (REFRESH, CLIENT, "secret words", "evil"))
            error = error.__cause__ or error.__context__
        assert await vault.value("mail") == f"{ACCESS}-2"  # the refresh token was kept

    with_vault(tmp_path, endpoint, act)


def test_a_token_that_still_holds_is_used_when_renewing_fails(tmp_path: Path) -> None:
    endpoint, clock = Endpoint(), Clock()

    async def act(vault: SealedVault, token: OAuth) -> None:
        endpoint.answers = [(503, {}), (503, {})]
        assert await vault.value("mail") == "at-present"
        clock.now += 30_000
        with pytest.raises(StoreUnavailable):
            await vault.value("mail")

    with_vault(tmp_path, endpoint, act, clock=clock, access_token="at-present", expires_ms=clock.now + 30_000)


@pytest.mark.parametrize(
    ("lives_s", "first_ms"), [(None, 300_000), ("3600", 3_600_000), (-5, 300_000), (True, 300_000)]
)
def test_a_lifetime_that_is_not_said_is_short(tmp_path: Path, lives_s: object, first_ms: int) -> None:
    endpoint, clock = Endpoint(), Clock()
    endpoint.lives_s, endpoint.rotates = lives_s, False

    async def act(vault: SealedVault, token: OAuth) -> None:
        await vault.value("mail")
        clock.now += first_ms - 61_000
        await vault.value("mail")
        assert len(endpoint.seen) == 1
        clock.now += 2_000
        await vault.value("mail")
        assert len(endpoint.seen) == 2 and endpoint.seen[1].form["refresh_token"] == REFRESH

    with_vault(tmp_path, endpoint, act, clock=clock)


GOOD = {"endpoint": "https://id.example/token", "client_id": "c", "refresh_token": "r"}


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://id.example/token"}, {"endpoint": "https://u:p@id.example/"}, {"endpoint": "https://"},
        {"endpoint": "ftp://id.example/"}, {"endpoint": "https://id.example/#x"}, {"endpoint": "https://id.example:99999/"},
        {"client_id": ""}, {"refresh_token": ""}, {"refresh_token": "a\nb"}, {"more": "x"}, {"scope": 7},
        {"expires_ms": "1"}, {"refresh_token": "x" * 8193}, {"grant": "password"}, {"grant": ""}, {"grant": 7},
        {"grant": "client_credentials"}, {"grant": "client_credentials", "client_secret": "s"},
        {"grant": "client_credentials", "refresh_token": ""},
    ],
)  # fmt: skip
def test_what_is_no_oauth_secret_is_refused_without_repeating_it(change: dict[str, object]) -> None:
    assert parse_oauth(json.dumps(GOOD)).scope == ""
    with pytest.raises(Malformed) as caught:
        parse_oauth(json.dumps({**GOOD, **change}))
    assert "id.example" not in str(caught.value) + caught.value.next_step


def test_a_programs_own_token_is_renewed_with_the_clients_secret(tmp_path: Path) -> None:
    endpoint, clock = Endpoint(), Clock()
    fields = {"grant": "client_credentials", "refresh_token": "", "scope": "https://api.example/.default"}

    async def act(vault: SealedVault, token: OAuth) -> None:
        assert await vault.value("mail") == f"{ACCESS}-1"
        assert await vault.value("mail") == f"{ACCESS}-1" and len(endpoint.seen) == 1
        clock.now += 241_000
        assert await vault.value("mail") == f"{ACCESS}-2"
        assert set(vault.held_values()) == {f"{ACCESS}-2", CLIENT}

    with_vault(tmp_path, endpoint, act, clock=clock, **fields)
    assert [asked.form for asked in endpoint.seen] == [
        {"grant_type": "client_credentials", "client_id": "client-7", "client_secret": CLIENT, "scope": fields["scope"]}
    ] * 2
    assert found_in_clear(tmp_path, ACCESS, CLIENT, "unasked") == []


def test_a_wrong_client_secret_says_what_to_do(tmp_path: Path) -> None:
    endpoint = Endpoint()

    async def act(vault: SealedVault, token: OAuth) -> None:
        endpoint.answers = [(401, {"error": "invalid_client"})]
        with pytest.raises(StoreUnavailable, match="invalid_client") as caught:
            await vault.value("mail")
        assert "client secret" in caught.value.next_step and "Sign in" not in caught.value.next_step
        assert CLIENT not in str(caught.value) + caught.value.next_step

    with_vault(tmp_path, endpoint, act, grant="client_credentials", refresh_token="")


def test_what_was_sealed_before_there_were_grants_reads_the_same() -> None:
    assert parse_oauth(json.dumps(GOOD)).grant == "refresh_token"
    assert "grant" not in parse_oauth(json.dumps(GOOD)).render()
    made = parse_oauth(
        json.dumps(
            {"endpoint": GOOD["endpoint"], "client_id": "c", "client_secret": "s", "grant": "client_credentials"}
        )
    )
    assert parse_oauth(made.render()) == made


@pytest.mark.parametrize("text", ["", "[]", "{", "null", json.dumps({"endpoint": "https://id.example/"})])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_oauth(text)


def test_nothing_shows_a_token() -> None:
    token = OAuth("https://id.example/token", "c", REFRESH, CLIENT)
    assert REFRESH not in repr(token) and CLIENT not in f"{token}" and parse_oauth(token.render()) == token
