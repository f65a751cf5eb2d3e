"""`carapax channels`, `pair`, `people` and `messages`: what is asked, where secrets go, what is shown."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carapax.app.home import Home
from carapax.app.local_vault import VaultDesk
from carapax.app.sealed import open_sealed
from carapax.ports.channel import ChannelFailed, CredentialRefused
from carapax.ports.gateway import AskedFor, ChannelKind
from carapax.surfaces.cli import codes
from carapax.surfaces.cli.client import Client, GatewayAbsent
from carapax.surfaces.cli.context import Context
from tests.fakes.channel_desk import TELEGRAM
from tests.unit.adapters.vault.rig import found_in_clear
from tests.unit.surfaces.cli.stage import FakeLocal, Ran, Stage, call, staged

TOKEN = "1234" + ":" + "not-a-real-token-" + "abcdef"
SECOND = "5678" + ":" + "another-token-" + "ghijkl"
HANDLE = "channel-telegram-token"


class Local(FakeLocal):
    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.desk_home = Home(home)

    def vault(self) -> VaultDesk:
        return VaultDesk(self.desk_home, {})


@pytest.fixture
def local(home: Path) -> Local:
    return Local(home)


@pytest.fixture
def stage(home: Path) -> Iterator[Stage]:
    with staged(home) as one:
        yield one


def run(local: Local, *argv: str, given: str = "", code: int = codes.OK) -> Ran:
    ran = call(local, *argv, stdin=given.encode())
    assert ran.code == code, ran.err + ran.out
    assert TOKEN not in ran.out + ran.err and SECOND not in ran.out + ran.err
    return ran


def at_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """A person at a terminal who types these where nothing is shown; what they were asked."""
    asked: list[str] = []
    waiting = list(answers)

    def give(prompt: str) -> str:
        asked.append(prompt)
        return waiting.pop(0)

    monkeypatch.setattr(Context, "interactive", property(lambda self: True))
    monkeypatch.setattr(getpass, "getpass", give)
    return asked


def sealed(home: Path, handle: str = HANDLE) -> str | None:
    return open_sealed(Home(home), {}).find_secret(handle)


def handles(home: Path) -> list[str]:
    return sorted(open_sealed(Home(home), {}).handles())


def test_without_a_gateway_the_next_step_is_exact(local: Local) -> None:
    for argv in (["channels"], ["channels", "add", "telegram"], ["people"], ["pair"], ["messages", "dead"]):
        ran = run(local, *argv, code=codes.NO_GATEWAY)
        assert ran.err.splitlines()[-1] == "Start it with `carapax serve` or just `carapax chat`."


def test_what_can_be_connected_is_shown(local: Local, stage: Stage) -> None:
    ran = run(local, "channels", "add")
    assert "telegram" in ran.out and "IRC" in ran.out and "server" in ran.out
    kinds = json.loads(run(local, "channels", "add", "--json").out)["kinds"]
    assert [kind["kind"] for kind in kinds] == ["telegram", "irc"]
    stage.fake.kinds = {}
    assert "knows no channels" in run(local, "channels", "add").out


def test_a_person_is_asked_in_order_and_gets_a_code(
    local: Local, stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = at_terminal(monkeypatch, TOKEN, "")
    ran = run(local, "channels", "add", "telegram", given="\n")
    assert asked == [
        "The token that BotFather gave you (not shown): ",
        "A secret of your own for the hook (optional, not shown): ",
    ]
    assert "poll or hook [poll] ▸ " in ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "✓ telegram is connected to Telegram."
    assert lines[1:3] == ["  @carapax_bot", "  may read groups: no"]
    assert "/hooks/telegram" in lines[3] and "within the hour" in lines[4]
    assert len(lines[5].strip()) == 9 and lines[5].strip()[4] == "-"
    assert stage.fake.answers_of["telegram"] == ({"mode": "poll"}, {"token": HANDLE})
    assert sealed(home) == TOKEN and found_in_clear(home, TOKEN) == []
    assert stage.fake.pairings[0].channel == "telegram" and stage.fake.pairings[0].person == "owner"


def test_an_answer_that_does_not_look_right_is_asked_again_three_times(
    local: Local, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_terminal(monkeypatch, TOKEN, "")
    ran = run(local, "channels", "add", "telegram", given="both\nhook\n")
    assert ran.err.count("That does not look like mode.") == 1
    assert stage.fake.answers_of["telegram"][0] == {"mode": "hook"}
    at_terminal(monkeypatch, TOKEN, "")
    run(local, "channels", "add", "telegram", "--name", "x", given="a\nb\nc\nhook\n", code=codes.FAILED)
    assert "x" not in stage.fake.channels


def test_a_script_gives_a_secret_by_file_stdin_environment_or_vault(
    local: Local, stage: Stage, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token.txt"
    file.write_text(TOKEN + "\n")
    monkeypatch.setenv("BOT_TOKEN", SECOND)
    for source, given, value in ((f"@{file}", "", TOKEN), ("-", TOKEN + "\n", TOKEN), ("env:BOT_TOKEN", "", SECOND)):
        ran = run(local, "channels", "add", "telegram", "--secret", f"token={source}", "--json", given=given)
        told = json.loads(ran.out)
        assert told["channel"]["state"] == "up" and told["pairing"]["channel"] == "telegram"
        assert sealed(home) == value
    local.vault().set("kept-elsewhere", SECOND, "plain", ())
    run(
        local,
        "channels",
        "add",
        "telegram",
        "--name",
        "two",
        "--secret",
        "token=vault:kept-elsewhere",
        "--set",
        "mode=hook",
    )
    assert stage.fake.answers_of["two"] == ({"mode": "hook"}, {"token": "kept-elsewhere"})
    assert handles(home) == [HANDLE, "kept-elsewhere"]


def test_a_secret_that_only_buys_tokens_is_sealed_as_one(local: Local, stage: Stage, home: Path) -> None:
    words = {
        "endpoint": "https://login.example/{tenant}/token",
        "client_id": "{tenant}-app",
        "grant": "client_credentials",
    }
    asks = (
        AskedFor("tenant", "The tenant", "Le locataire"),
        AskedFor("token", "The client's secret", "Le secret du client", secret=True, oauth=words),
    )
    stage.fake.kinds["teams"] = ChannelKind("teams", "Teams", asks=asks)
    argv = ("channels", "add", "teams", "--set", "tenant=t1", "--secret", "token=-")
    run(local, *argv, given=TOKEN + "\n")
    entry = next(each for each in local.vault().list()["secrets"] if each["handle"] == "channel-teams-token")
    assert entry["kind"] == "oauth"
    assert found_in_clear(home, TOKEN) == []
    again = run(local, *argv, given=SECOND + "\n", code=codes.FAILED)
    assert "channels remove teams" in again.err


def test_two_secrets_on_standard_input_are_a_line_each(local: Local, stage: Stage, home: Path) -> None:
    run(
        local,
        "channels",
        "add",
        "telegram",
        "--secret",
        "token=-",
        "--secret",
        "hook_secret=-",
        given=f"{TOKEN}\n{SECOND}\n",
    )
    assert sealed(home) == TOKEN and sealed(home, "channel-telegram-hook_secret") == SECOND


@pytest.mark.parametrize("option", ["--set", "--secret"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    local: Local, stage: Stage, home: Path, option: str
) -> None:
    ran = run(local, "channels", "add", "telegram", option, f"token={TOKEN}", code=codes.FAILED)
    assert "can be read by other programs" in ran.err and "--secret token=@FILE" in ran.err
    assert stage.fake.channels == {} and not (home / "vault").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["telegramm"], "Did you mean telegram?"),
        (["Telegram"], "Did you mean telegram?"),
        (["pigeon"], "There are: telegram, irc."),
        (["irc"], "IRC needs server: The server's name"),
        (["telegram"], "--secret token=@FILE"),
        (["irc", "--set", "servr=x"], "It asks for: server, nick."),
        (["irc", "--set", "server"], "is not KEY=VALUE"),
        (["irc", "--set", "=x"], "is not KEY=VALUE"),
        (["irc", "--set", "server=NOT OK"], "That does not look like server."),
        (["irc", "--secret", "server=@x"], "`server` is no secret."),
        (["irc", "--set", "server=a", "--name", "Bad Name"], "cannot be a channel's name"),
        (["irc", "--set", "server=a", "--name", "x" * 33], "cannot be a channel's name"),
        (["telegram", "--secret", "token=env:NOT_SET_HERE"], "env:NOT_SET_HERE holds nothing"),
        (["telegram", "--secret", "token=-"], "- holds nothing"),
        (["telegram", "--secret", "token=@/nonexistent/file"], "No such file"),
    ],
)
def test_what_is_missing_or_mistyped_is_said(
    local: Local, stage: Stage, home: Path, argv: list[str], said: str
) -> None:
    ran = run(local, "channels", "add", *argv, code=codes.FAILED)
    assert said in ran.err
    assert stage.fake.channels == {} and not (home / "vault").exists()


def test_in_french_too(local: Local, stage: Stage) -> None:
    ran = run(local, "channels", "add", "irc", "--lang", "fr", code=codes.FAILED)
    assert ran.err.splitlines()[0] == "IRC a besoin de server : Le nom du serveur."
    assert "Aucun canal" in run(local, "channels", "--lang", "fr").out


@pytest.mark.parametrize(
    "error", [ChannelFailed("It did not answer."), CredentialRefused("Telegram does not know it.")]
)
def test_what_the_platform_refuses_leaves_the_vault_as_it_was(
    local: Local, stage: Stage, home: Path, error: Any
) -> None:
    stage.fake.refuses = error
    ran = run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN, code=codes.FAILED)
    assert ran.err.splitlines()[0] in ("It did not answer.", "Telegram does not know it.")
    assert handles(home) == [] and stage.fake.channels == {}
    stage.fake.refuses = None
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN)
    stage.fake.refuses = error
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=SECOND, code=codes.FAILED)
    assert sealed(home) == TOKEN
    stage.fake.refuses = None
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=SECOND)
    assert sealed(home) == SECOND
    (kept,) = local.vault().list()["secrets"]
    assert kept["waiting"] is False


def test_a_second_secret_that_cannot_be_kept_takes_the_first_back(
    local: Local, stage: Stage, home: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long"
    long.write_text("x" * 9_000)
    run(
        local,
        "channels",
        "add",
        "telegram",
        "--secret",
        "token=-",
        "--secret",
        f"hook_secret=@{long}",
        given=TOKEN,
        code=codes.FAILED,
    )
    assert handles(home) == [] and stage.fake.channels == {}


def test_when_it_is_not_known_whether_it_was_added_the_secret_stays(
    local: Local, stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Client.call

    def lost(self: Client, method: str, path: str, body: Any = None) -> Any:
        if (method, path) == ("POST", "/api/channels"):
            raise GatewayAbsent("No gateway is running.")
        return real(self, method, path, body)

    monkeypatch.setattr(Client, "call", lost)
    ran = run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN, code=codes.NO_GATEWAY)
    assert "is not known" in ran.err and sealed(home) == TOKEN


def test_secrets_stay_on_the_machine_whose_vault_they_are_for(
    local: Local, stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARAPAX_URL", stage.url)
    monkeypatch.setenv("CARAPAX_TOKEN", stage.fake.mint())
    ran = run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN, code=codes.FAILED)
    assert "on another machine" in ran.err and not (home / "vault").exists()
    run(local, "channels", "add", "telegram", "--secret", "token=vault:there")
    assert stage.fake.answers_of["telegram"][1] == {"token": "there"}
    run(local, "channels", "remove", "telegram", "--yes")
    assert not (home / "vault").exists()


def test_replacing_is_asked_first(local: Local, stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN)
    asked = at_terminal(monkeypatch, SECOND, "")
    ran = run(local, "channels", "add", "telegram", given="n\n", code=codes.FAILED)
    assert "connected already" in ran.err and asked == [] and sealed(home) == TOKEN
    run(local, "channels", "add", "telegram", given="y\n\n")
    assert sealed(home) == SECOND


def test_without_a_code_the_channel_stands_all_the_same(
    local: Local, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARAPAX_URL", stage.url)
    monkeypatch.setenv("CARAPAX_TOKEN", stage.fake.mint())

    async def refuse(*given: object) -> None:
        raise ChannelFailed("No code now.")

    monkeypatch.setattr(stage.fake, "make_pairing", refuse)
    ran = run(local, "channels", "add", "irc", "--set", "server=127.0.0.1")
    assert ran.out.splitlines()[-1] == "Then pair yourself: carapax pair --channel irc"


def test_they_are_listed_with_how_they_stand(local: Local, stage: Stage) -> None:
    assert "No channel is connected" in run(local, "channels").out
    run(local, "channels", "add", "irc", "--set", "server=127.0.0.1")
    fake = stage.fake
    fake.channels["irc"] = replace(fake.channels["irc"], queued=3, heard=1_204, detail="\x1b[2J#general")
    fake.channels["old"] = replace(
        fake.channels["irc"], name="old", state="refused", queued=0, detail="The password is wrong."
    )
    for argv in (["channels"], ["channels", "list"]):
        first, second = run(local, *argv).out.splitlines()
        assert first.startswith("✓ irc") and "3 to send" in first and "\x1b" not in first
        assert second.startswith("✗ old") and second.endswith("The password is wrong.")
    assert [each["name"] for each in json.loads(run(local, "channels", "--json").out)["channels"]] == ["irc", "old"]
    assert [each["name"] for each in json.loads(run(local, "channels", "list", "--json").out)["channels"]] == [
        "irc",
        "old",
    ]


def test_a_status_fails_when_one_does_not_work(local: Local, stage: Stage) -> None:
    assert "No channel" in run(local, "channels", "status").out
    run(local, "channels", "add", "irc", "--set", "server=127.0.0.1")
    shown = run(local, "channels", "status", "irc").out
    assert "heard 0 · sent 0 · waiting 0 · since 20" in shown
    for state, code in (("waiting", 1), ("refused", 1), ("off", 1), ("connecting", 0), ("up", 0)):
        stage.fake.channels["irc"] = replace(stage.fake.channels["irc"], state=state)
        run(local, "channels", "status", code=code)
        run(local, "channels", "status", "irc", "--json", code=code)
    ran = run(local, "channels", "status", "none", code=codes.FAILED)
    assert ran.err.splitlines() == [
        "There is no channel none.",
        "Nothing was changed.",
        "`carapax channels` lists them.",
    ]


def test_the_log_and_a_test(local: Local, stage: Stage) -> None:
    run(local, "channels", "add", "irc", "--set", "server=127.0.0.1")
    assert "connected as @carapax_bot" in run(local, "channels", "logs", "irc", "--limit", "5").out
    assert json.loads(run(local, "channels", "logs", "irc", "--json").out)["lines"][0]["at_ms"] > 0
    stage.fake.logs["irc"] = []
    assert "Nothing happened" in run(local, "channels", "logs", "irc").out
    assert run(local, "channels", "test", "irc").out.splitlines()[:2] == ["✓ irc works.", "  @carapax_bot"]
    assert json.loads(run(local, "channels", "test", "irc", "--json").out)["facts"]
    stage.fake.refuses = CredentialRefused("The password is wrong.")
    assert "carapax channels add" in run(local, "channels", "test", "irc", code=codes.FAILED).err
    run(local, "channels", "logs", "none", code=codes.FAILED)


def test_removing_forgets_its_secrets_and_no_others(local: Local, stage: Stage, home: Path) -> None:
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN)
    run(local, "channels", "add", "telegram", "--name", "telegram-work", "--secret", "token=-", given=SECOND)
    ran = run(local, "channels", "remove", "telegram", code=codes.FAILED)
    assert "nobody said yes" in ran.err and "telegram" in stage.fake.channels
    assert "forgotten" in run(local, "channels", "remove", "telegram", "--yes").out
    assert list(stage.fake.channels) == ["telegram-work"] and handles(home) == ["channel-telegram-work-token"]
    run(local, "channels", "remove", "telegram", "--yes", code=codes.FAILED)


def test_a_secret_that_cannot_be_removed_is_named(local: Local, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    run(local, "channels", "add", "telegram", "--secret", "token=-", given=TOKEN)

    def fail(self: VaultDesk, handle: str) -> None:
        raise ChannelFailed("The vault is locked.")

    monkeypatch.setattr(VaultDesk, "remove", fail)
    ran = run(local, "channels", "remove", "telegram", "--yes")
    assert f"carapax vault remove {HANDLE}" in ran.err and stage.fake.channels == {}


def test_a_locked_vault_is_opened_by_its_passphrase(
    local: Local, stage: Stage, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = "correct horse battery staple, all of it"
    local.vault().protect("passphrase", phrase)
    asked = at_terminal(monkeypatch, TOKEN, "", phrase)
    run(local, "channels", "add", "telegram", given="\n")
    assert asked[-1] == "the vault's passphrase (not shown): "
    monkeypatch.setattr(Context, "interactive", property(lambda self: False))
    ran = run(
        local, "channels", "add", "telegram", "--name", "two", "--secret", "token=-", given=TOKEN, code=codes.FAILED
    )
    assert "locked" in ran.err and "two" not in stage.fake.channels


def test_a_code_is_made_for_a_person(local: Local, stage: Stage) -> None:
    ran = run(local, "pair", "--as", "anna")
    code = ran.out.strip()
    assert len(code) == 9 and "on any channel" in ran.err and "Whoever sends it is anna here" in ran.err
    run(local, "channels", "add", "irc", "--set", "server=127.0.0.1")
    assert "on irc" in run(local, "pair", "--channel", "irc").err
    assert json.loads(run(local, "pair", "--json").out)["person"] == "owner"
    run(local, "pair", "--channel", "none", code=codes.FAILED)


def test_a_code_takes_somebody_in_and_shows_who_it_is(local: Local, stage: Stage) -> None:
    code = stage.fake.ask_in("telegram", "4711", "owner ✓\u202e")
    ran = run(local, "pair", code.lower(), "--as", "anna")
    assert ran.out == '✓ "owner" (id 4711) on telegram is anna from now on.\n'
    assert "used" in run(local, "pair", code, code=codes.FAILED).err
    assert "never holds 0" in run(local, "pair", "7KQ2-M9X0", code=codes.FAILED).err
    again = stage.fake.ask_in("irc", "nick!user@host")
    assert json.loads(run(local, "pair", again, "--json").out)["person"] == "owner"


def test_people_are_listed_with_their_ids_and_forgotten(local: Local, stage: Stage) -> None:
    assert "Nobody is paired" in run(local, "people").out
    run(local, "pair", stage.fake.ask_in("telegram", "4711", "Anna"), "--as", "anna")
    stage.fake.ask_in("telegram", "666", "ow\u200bner")
    run(local, "pair", "--as", "bob")
    first, second, third = run(local, "people").out.splitlines()
    assert first.startswith("anna") and '"Anna" (id 4711)' in first
    assert '"ow ner" (id 666) on telegram waits' in second and "for bob waits" in third
    listed = json.loads(run(local, "people", "list", "--json").out)
    assert len(listed["accounts"]) == 1 and all("hash" not in each for each in listed["pairings"])
    assert "nobody said yes" in run(local, "people", "forget", "telegram", "4711", code=codes.FAILED).err
    assert "a stranger again" in run(local, "people", "forget", "telegram", "4711", "--yes").out
    run(local, "people", "forget", "telegram", "4711", "--yes", code=codes.FAILED)


def test_given_up_messages_are_decided_about(local: Local, stage: Stage) -> None:
    assert "Nothing was given up" in run(local, "messages", "dead").out
    first = stage.fake.give_up("delivery", "k1", "The bot was blocked.")
    second = stage.fake.give_up("inbound", "k2", "It failed five times.")
    shown = run(local, "messages", "dead").out.splitlines()
    assert shown[0].startswith(first.short) and "5 tries" in shown[0] and shown[0].endswith("The bot was blocked.")
    assert len(json.loads(run(local, "messages", "dead", "--json").out)["messages"]) == 2
    assert run(local, "messages", "retry", first.short[:6]).out == f"{first.short} is tried again.\n"
    assert "nobody said yes" in run(local, "messages", "drop", second.short, code=codes.FAILED).err
    assert run(local, "messages", "drop", second.short, "--yes").out == f"{second.short} is dropped.\n"
    run(local, "messages", "retry", second.short, code=codes.FAILED)
    third = stage.fake.give_up("delivery", "k3", "x")
    assert json.loads(run(local, "messages", "retry", third.short, "--json").out)["id"] == third.short
    fourth = stage.fake.give_up("delivery", "k4", "x")
    assert json.loads(run(local, "messages", "drop", fourth.short, "--yes", "--json").out)["state"] == "dead"


def test_no_token_that_may_only_chat_sees_any_of_it(local: Local, stage: Stage, home: Path) -> None:
    from carapax.core.terms.principal import Scope

    (home / "run" / "cli.token").write_text(stage.fake.mint(Scope.CHAT))
    for argv in (["channels"], ["people"], ["pair"], ["messages", "dead"], ["channels", "add"]):
        run(local, *argv, code=codes.NOT_PERMITTED)
    assert TELEGRAM.asks[0].secret
