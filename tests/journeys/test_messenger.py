"""A messenger from the command line to the last reply: real gateway and proxy, real Telegram adapter, a local Bot API."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.test_secrets_nowhere import family, forms, memory
from tests.fakes.model_server import ModelServer, Says, Seen, Stall
from tests.journeys.gate import Gate, running
from tests.journeys.messenger import TOKEN, BotApi, add_telegram, buttons, last_words, pair, wait, words
from tests.journeys.test_incident import tighten

SIX = [f"note-{number}.txt" for number in range(6)]
SECOND = "535353:" + "another-one-" + "Zk9Willow77" + "qXbeacon3ab"
PROOF = "X-Telegram-Bot-Api-Secret-Token"


class Model:
    """Does what a message asks for; everything else is answered with `re:` and the message."""

    def __init__(self) -> None:
        self.shown: list[Seen] = []

    def __call__(self, seen: Seen) -> Says | Stall:
        self.shown.append(seen)
        messages = seen.json()["messages"]
        said = last_words(seen)
        if messages[-1]["role"] == "tool":
            return Says([f"done: {messages[-1]['content'][-160:]}"])
        if "never end" in said:
            return Stall(["I begin with "])
        if "delete the six" in said:
            return _wish("delete_file", paths="\n".join(SIX))
        if "send me the report" in said:
            return _wish("attach_file", path="report.txt")
        if "what I sent" in said or "read it" in said:
            found = re.findall(r"inbox/\S+\.txt", json.dumps(messages))
            return _wish("read_file", path=found[-1])
        return Says([f"re:{said}"])


def _wish(tool: str, **arguments: str) -> Says:
    return Says(wishes=[("c", tool, json.dumps(arguments))])


@dataclass(frozen=True, slots=True)
class Scene:
    """One gateway with one bot, whose owner is alice."""

    gate: Gate
    bots: BotApi
    model: Model
    added: str

    def ask(self, text: str, who: str = "alice") -> str:
        """Write, and the reply that begins with `re:`."""
        self.bots.says(who, text)
        return self.bots.answer(who, lambda shown: shown.startswith(f"re:{text}"))

    def state(self, name: str = "telegram") -> str:
        return next((each["state"] for each in self.channels() if each["name"] == name), "")

    def channels(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.gate.request("GET", "/api/channels")[1]["channels"]
        return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with _scene(tmp_path_factory.mktemp("m")) as scene:
        yield scene


@contextmanager
def _scene(place: Path) -> Iterator[Scene]:
    model = Model()
    with BotApi() as bots, ModelServer(model, last_repeats=True) as server, running(place, server.openai_url) as gate:
        added = add_telegram(gate, bots)
        bots.says("alice", added.split()[-1])
        bots.answer("alice", "here you are owner")
        yield Scene(gate, bots, model, added)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    """A gateway of its own, for what changes it."""
    with _scene(tmp_path) as scene:
        yield scene


# setting up


def test_adding_shows_what_the_platform_said_and_a_code_and_never_the_token(scene: Scene) -> None:
    lines = scene.added.splitlines()
    assert lines[0] == "✓ telegram is connected to Telegram."
    assert lines[1].strip() == "The bot is @carapax_test_bot (Carapax), number 424242."
    assert "within the hour" in lines[-2]
    assert re.fullmatch(r"[0-9A-Z]{4}-[0-9A-Z]{4}", lines[-1].strip())
    assert not any("hooks" in line for line in lines)  # nothing calls this machine: it asks Telegram
    assert TOKEN not in scene.added
    kept = (scene.gate.home / "channels" / "telegram.toml").read_text()
    assert 'token = "channel-telegram-token"' in kept
    assert TOKEN not in kept


@pytest.mark.parametrize("source", ["stdin", "file", "vault"])
def test_a_token_comes_from_where_the_command_says_and_a_wrong_one_keeps_nothing(
    scene: Scene, source: str, tmp_path: Path
) -> None:
    argv = ["channels", "add", "telegram", "--name", "other", "--set", f"api={scene.bots.url}"]
    wrong, given = f"{SECOND}\n", ""
    match source:
        case "stdin":
            argv, given = [*argv, "--secret", "token=-"], wrong
        case "file":
            (tmp_path / "token").write_text(wrong)
            argv = [*argv, "--secret", f"token=@{tmp_path}/token"]
        case "vault":
            assert scene.gate.command("vault", "set", "mine", stdin=wrong).returncode == 0
            argv = [*argv, "--secret", "token=vault:mine"]
    done = scene.gate.command(*argv, stdin=given)
    assert done.returncode == 1
    assert "does not accept the bot's token" in done.stderr
    assert SECOND not in done.stdout + done.stderr
    assert scene.state("other") == ""
    assert "channel-other-token" not in scene.gate.command("vault", "list").stdout
    assert "other" not in [path.stem for path in (scene.gate.home / "channels").iterdir()]


# talking


def test_a_message_is_answered_once_marked_and_shown_as_being_written(scene: Scene) -> None:
    number = scene.bots.says("alice", "good morning to you")
    scene.bots.answer("alice", "re:good morning to you")
    assert scene.bots.texts("alice").count("re:good morning to you") == 1
    assert scene.bots.platform.reactions[number] == ["👀"]
    assert 1001 in scene.bots.platform.typing


def test_a_file_comes_in_and_is_read(scene: Scene) -> None:
    scene.bots.sends_file("alice", "plan.txt", b"the ferry leaves at 9:40", "please look at what I sent")
    scene.bots.answer("alice", "the ferry leaves at 9:40")
    (kept,) = (scene.gate.workspace / "inbox").rglob("*.txt")
    assert kept.name == "plan.txt"


def test_a_file_goes_out_as_it_is(scene: Scene) -> None:
    content = "".join(f"{number} ü\n" for number in range(400)).encode()
    (scene.gate.workspace / "report.txt").write_bytes(content)
    scene.bots.says("alice", "send me the report please")
    (name, sent) = wait(lambda: next((each["sent"] for each in scene.bots.seen("alice") if "sent" in each), None)) or (
        "",
        b"",
    )
    assert (name, sent) == ("report.txt", content)


def _six(scene: Scene) -> list[Path]:
    """Six files, and a conversation that has read nothing yet."""
    paths = [scene.gate.workspace / name for name in SIX]
    for path in paths:
        path.write_text("x")
    scene.bots.says("alice", "/new")
    return paths


def test_a_button_approves(scene: Scene) -> None:
    paths = _six(scene)
    scene.bots.says("alice", "delete the six files now")
    card = scene.bots.card("alice")
    assert [button["text"] for button in buttons(card)] == ["Yes", "No"]
    assert all(name in words(card) for name in SIX)
    scene.bots.presses("alice", card, "Yes")
    wait(lambda: not any(path.exists() for path in paths))
    wait(lambda: words(card).endswith("It goes on.") and not buttons(card), said=lambda: words(card))
    assert scene.bots.platform.answered
    scene.bots.answer("alice", lambda text: text.startswith("done:"))


def test_words_with_the_cards_code_refuse(scene: Scene) -> None:
    paths = _six(scene)
    scene.bots.says("alice", "delete the six files again")
    card = scene.bots.card("alice")
    code = re.search(r"yes (\w+)", words(card))
    assert code is not None
    scene.bots.says("alice", f"no {code[1]}, leave them")
    wait(lambda: "It was not done" in words(card), said=lambda: words(card))
    assert all(path.exists() for path in paths)


def test_stop_ends_what_runs(scene: Scene) -> None:
    before = len(scene.model.shown)
    scene.bots.says("alice", "a task that will never end")
    wait(lambda: len(scene.model.shown) > before)
    scene.bots.says("alice", "/stop")
    scene.bots.answer("alice", "You stopped it.")
    scene.ask("still with me")


def test_a_stranger_gets_a_code_and_is_let_in_by_the_owner_at_the_terminal(scene: Scene) -> None:
    before = len(scene.model.shown)
    scene.bots.says("bob", "hello, it is me")
    told = scene.bots.answer("bob", "does not know you yet")
    scene.bots.answer("alice", "asks to talk to me")
    code = told.split("\n\n")[1]
    waits = scene.gate.command("people").stdout
    assert "(id 1002)" in waits
    assert scene.gate.command("pair", "AAAA-AAAA", "--as", "bob").returncode == 1
    done = scene.gate.command("pair", code, "--as", "bob")
    assert done.returncode == 0, done.stderr
    assert "bob" in done.stdout
    assert len(scene.model.shown) == before  # nothing of a stranger's reaches a model
    scene.ask("now you know me", "bob")
    listed = json.loads(scene.gate.command("people", "--json").stdout)
    assert {(each["person"], each["sender"]) for each in listed["accounts"]} == {("owner", "1001"), ("bob", "1002")}
    assert scene.gate.command("people", "forget", "telegram", "1002", "--yes").returncode == 0
    scene.bots.says("bob", "and again")
    scene.ask("a word after bob's")
    assert not any(text.startswith("re:and again") for text in scene.bots.texts("bob"))


def test_status_logs_and_test_say_how_it_stands(scene: Scene) -> None:
    status = scene.gate.command("channels", "status", "telegram")
    assert status.returncode == 0
    assert "@carapax_test_bot: asking Telegram for messages" in status.stdout
    assert re.search(r"heard \d+ · sent \d+ · waiting 0", status.stdout)
    assert "up: @carapax_test_bot" in scene.gate.command("channels", "logs", "telegram").stdout
    tested = scene.gate.command("channels", "test", "telegram")
    assert tested.returncode == 0
    assert "number 424242" in tested.stdout
    assert scene.gate.command("channels", "status", "nothing").returncode == 1
    assert scene.gate.command("messages", "dead").returncode == 0


def test_the_token_is_nowhere_but_behind_the_proxy(scene: Scene) -> None:
    scene.ask("one more before the search")
    planted = forms(TOKEN) + forms(TOKEN.partition(":")[2])
    pieces = list(memory(scene.gate.pid))
    assert any(b"channel-telegram-token" in piece for piece in pieces)  # it was really looked at
    assert [form for piece in pieces for form in planted if form in piece] == []
    for pid in family(scene.gate.pid):
        for name in ("environ", "cmdline"):
            content = Path(f"/proc/{pid}/{name}").read_bytes()
            assert [form for form in planted if form in content] == []
    files = [path for path in scene.gate.home.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 20
    assert [path for path in files if any(form in path.read_bytes() for form in planted)] == []
    assert not any(form in seen.body for seen in scene.model.shown for form in planted)
    assert not any(TOKEN in text for text in scene.bots.texts())


# Telegram calls, instead of being asked


class Door:
    """Telegram's side of the webhook: what happens is posted to the gateway's real door."""

    def __init__(self, gate: Gate, name: str) -> None:
        self._gate, self._name = gate, name
        self.proof = ""

    def post(self, update: dict[str, Any], proof: str) -> int:
        connection = http.client.HTTPConnection(self._gate.url.removeprefix("http://"), timeout=30)
        try:
            headers = {"Content-Type": "application/json"} | ({PROOF: proof} if proof else {})
            connection.request("POST", f"/hooks/{self._name}", json.dumps(update), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    async def call(self, update: dict[str, Any], proof: str) -> bool:
        import asyncio

        self.proof = proof
        return await asyncio.to_thread(self.post, update, proof) == 200


def test_a_webhook_is_believed_with_its_proof_alone_and_removing_it_forgets_all(scene: Scene) -> None:
    with BotApi(SECOND) as bots:
        door = Door(scene.gate, "work")
        bots.platform.caller = door.call
        added = add_telegram(scene.gate, bots, "--set", "public_url=https://home.example/hooks/work", name="work")
        assert "/hooks/work" in added
        wait(lambda: scene.state("work") == "up")
        bots.says("alice", added.split()[-1])
        bots.answer("alice", "here you are owner")
        bots.says("alice", "by the other door")
        bots.answer("alice", "re:by the other door")
        assert bots.count("getUpdates") == 0
        update = dict(bots.platform.newest)
        forged = {"update_id": 9_000, "message": update["message"] | {"message_id": 9_000, "text": "forged words"}}
        for proof in (
            "",
            "00" * 32,
            door.proof[:-2] + ("00" if door.proof[-2:] != "00" else "11"),
            door.proof.upper() + "0",
        ):
            assert door.post(forged, proof) == 401
        assert door.post(update, door.proof) == 200  # Telegram sends again what it is not sure of
        bots.says("alice", "and a last word")
        bots.answer("alice", "re:and a last word")
        assert not any("forged words" in seen.body.decode() for seen in scene.model.shown)
        assert bots.texts("alice").count("re:by the other door") == 1
        removed = scene.gate.command("channels", "remove", "work", "--yes")
        assert removed.returncode == 0, removed.stderr
        assert door.post(update, door.proof) == 404
    assert scene.state("work") == ""
    assert "channel-work-token" not in scene.gate.command("vault", "list").stdout
    assert not any(
        each["channel"] == "work" for each in json.loads(scene.gate.command("people", "--json").stdout)["accounts"]
    )
    assert not (scene.gate.home / "channels" / "work.toml").exists()
    scene.ask("the other one goes on")


def test_a_program_talks_by_a_signed_webhook(scene: Scene) -> None:
    import asyncio
    import time

    from tests.fakes.platforms.hook import Peer

    secret = "whsec_" + base64.b64encode(b"a secret that two programs share").decode()
    with BotApi(SECOND) as loop:  # its thread runs the program's server
        peer = Peer(secret=secret, now_ms=lambda: time.time_ns() // 1_000_000)
        loop.run(peer.server.start())
        try:
            argv = ("channels", "add", "hook", "--name", "ci", "--set", f"out_url={peer.url}", "--secret", "secret=-")
            done = scene.gate.command(*argv, stdin=f"{secret}\n")
            assert done.returncode == 0, done.stderr

            def post(id: str, said: dict[str, str], *, sign: bool = True) -> int:
                body, at = json.dumps(said).encode(), time.time_ns() // 1_000_000_000
                signature = peer.sign(id, at, body if sign else body + b" ")
                connection = http.client.HTTPConnection(scene.gate.url.removeprefix("http://"), timeout=30)
                try:
                    headers = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signature}
                    connection.request("POST", "/hooks/ci", body, headers | {"content-type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    return answer.status
                finally:
                    connection.close()

            said = {"sender": "p1", "id": "m1", "text": done.stdout.split()[-1]}
            assert post("a0", said, sign=False) == 401
            assert post("a1", said) in (200, 202, 204)
            wait(lambda: any("here you are owner" in each["text"] for each in list(peer.messages.values())))
            asked = said | {"id": "m2", "text": "what did the build say"}
            assert post("a2", asked, sign=False) == 401
            assert post("a2", asked) in (200, 202, 204)
            assert post("a2", asked) in (200, 202, 204, 401)  # the same again is one message
            wait(lambda: any(each["text"] == "re:what did the build say" for each in list(peer.messages.values())))
            assert scene.gate.command("channels", "remove", "ci", "--yes").returncode == 0
            assert [each["text"] for each in peer.messages.values()].count("re:what did the build say") == 1
        finally:
            loop.run(asyncio.wait_for(peer.server.stop(), 10))


# when something is wrong


def test_a_revoked_token_is_told_elsewhere_and_asked_no_more_until_a_new_one_comes(fresh: Scene) -> None:
    gate, bots = fresh.gate, fresh.bots
    with BotApi(SECOND) as others:
        add_telegram(gate, others, name="second")
        pair(gate, others, "alice", channel="second")
        fresh.ask("all is well")

        async def revoke() -> None:
            bots.platform.token = "424242:" + "given-out-anew-" + "Zr4Marble" * 2
            await bots.platform.cut()

        bots.run(revoke())
        told = others.answer("alice", "The channel telegram is off")
        assert "carapax channels add telegram" in told
        assert fresh.state() == "refused"
        status = gate.command("channels", "status")
        assert status.returncode == 1
        assert "does not accept the bot's token" in status.stdout
        tested = gate.command("channels", "test", "telegram")
        assert tested.returncode == 1
        assert "carapax channels add" in tested.stderr
        asked = bots.refused()
        for number in range(3):
            others.says("alice", f"meanwhile {number}")
            others.answer("alice", f"re:meanwhile {number}")
        assert bots.refused() == asked <= 4
        assert sum("is off" in text for text in others.texts("alice")) == 1
        add_telegram(gate, bots)
        wait(lambda: fresh.state() == "up")
        fresh.ask("back again")


def test_stop_all_keeps_replies_back_and_resume_lets_them_go(fresh: Scene) -> None:
    gate, bots = fresh.gate, fresh.bots
    fresh.ask("before the stop")
    before = len(fresh.model.shown)
    bots.says("alice", "a task that will never end")
    wait(lambda: len(fresh.model.shown) > before)
    sent = bots.count("sendMessage", "editMessageText", "sendDocument")
    assert gate.command("stop", "--all").returncode == 0
    wait(lambda: gate.request("GET", "/api/status")[1]["work"].get("delivery.waiting"))
    assert bots.count("sendMessage", "editMessageText", "sendDocument") == sent
    assert gate.command("resume", "--all", "--yes").returncode == 0
    bots.answer("alice", "was stopped here")
    fresh.ask("after the stop")


def test_a_burst_of_messages_trips_the_breaker_and_the_owner_is_told_there(fresh: Scene) -> None:
    gate, bots = fresh.gate, fresh.bots
    tighten(gate, "{messages_minute: 4}")
    bots.says("alice", "/queue follow-up")
    for number in range(8):
        bots.says("alice", f"burst {number}")
    told = bots.answer("alice", "carapax incident show 1")
    assert "messages" in told
    replies = [text for text in bots.texts("alice") if text.startswith("re:burst")]
    assert len(replies) <= 5
    shown = gate.command("incident", "show", "1")
    assert shown.returncode == 0, shown.stderr
    assert "breaker.messages" in shown.stdout
    assert gate.command("incident", "resume", "1", "--yes").returncode == 0
    bots.answer("alice", lambda text: text.startswith("re:burst 5"))
