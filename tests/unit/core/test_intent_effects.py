"""Which effects the owner's words ask for: a labelled corpus, the everyday requests, and each rule of mention and denial."""

from __future__ import annotations

import pytest

from bench.small_model.requests import REQUESTS, Request
from carapax.adapters.tools.manifest import family_manifests
from carapax.core.intent.words import plan_words
from carapax.core.terms.action import Effect
from tests.unit.core.intent_corpus import CORPUS, HELD_OUT, TUNED

LETTERS = {
    Effect.COMMUNICATE: "c",
    Effect.PUBLISH: "p",
    Effect.DESTROY: "d",
    Effect.MONEY: "m",
    Effect.ACCESS: "a",
    Effect.CREDENTIAL: "k",
    Effect.FETCH: "f",
}
HELD_OUT_FLOOR = 0.95
TOOLS = family_manifests()
TALKS = frozenset({"read", "list", "find", "time", "talk", "know", "disk", "sizes", "injection"})
CHANGES = frozenset(LETTERS) - {Effect.FETCH} | {Effect.SELF_ADD, Effect.SELF_MODIFY}
NEEDED = {
    "create-run": {"write_file", "run_command"},
    "create": {"write_file"},
    "rename": {"move_file"},
    "delete": {"delete_file"},
    "append": {"append_file"},
    "edit": {"edit_file"},
    "command": {"run_command"},
    "disk": {"run_command"},
    "sizes": {"run_command"},
    "code": {"write_file"},
    "two-step": {"write_file"},
}
READS_ONLY = frozenset({"en-count", "en-first-line", "en-python"})
SEVERAL = {
    "en-delete-two": "delete_file",
    "fr-delete-all": "delete_file",
    "en-three": "write_file",
    "en-backup": "write_file",
    "en-pronoun": "move_file",
    "fr-pronoun": "append_file",
    "fr-delete-it": "delete_file",
}


def letters(text: str) -> frozenset[str]:
    return frozenset(LETTERS[e] for e in plan_words(text, ()).effects if e in LETTERS)


def effects(text: str) -> frozenset[Effect]:
    return plan_words(text, ()).effects


def test_the_corpus_is_large_and_half_of_it_asks_for_nothing_dangerous() -> None:
    assert len(CORPUS) >= 250
    assert sum(not wanted for _, wanted in CORPUS) >= 80
    assert len({text for text, _ in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize(("text", "wanted"), TUNED)
def test_a_request_asks_for_exactly_these_effects(text: str, wanted: frozenset[str]) -> None:
    assert letters(text) == wanted


def test_the_held_out_third_is_read_nearly_as_well() -> None:
    right = sum(letters(text) == wanted for text, wanted in HELD_OUT)
    assert right / len(HELD_OUT) >= HELD_OUT_FLOOR


def _wanted_tools(request: Request) -> set[str]:
    if request.name in SEVERAL:
        return {SEVERAL[request.name]}
    return set() if request.name in READS_ONLY else NEEDED.get(request.kind, set())


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: r.name)
def test_every_everyday_request_gets_the_effects_of_its_tools(request_: Request) -> None:
    asked = frozenset().union(*(plan_words(said, TOOLS).effects for said in request_.says))
    missing = {t.name for t in TOOLS if t.name in _wanted_tools(request_) and t.effect not in asked}
    assert not missing
    assert Effect.READ in asked


@pytest.mark.parametrize("request_", [r for r in REQUESTS if r.kind in TALKS], ids=lambda r: r.name)
def test_reading_and_talk_change_nothing(request_: Request) -> None:
    for said in request_.says:
        assert not plan_words(said, TOOLS).effects & CHANGES


@pytest.mark.parametrize(
    "text",
    [
        "Write the minutes, translate them and save them in a folder",
        "fix the script",
        "clean up the downloads folder",
        "Could you refactor the parser and run its tests?",
        "extrais les noms dans un tableau",
        "build a chart of my expenses",
        "compare the two contracts in a table",
    ],
)
def test_work_in_the_own_workspace_is_generous(text: str) -> None:
    assert effects(text) >= {Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.CODE}


@pytest.mark.parametrize(
    "text", ["how many lines are in a.txt?", "how big is it", "is node installed?", "quelle est la taille du dossier ?"]
)
def test_questions_that_need_computing_give_code_alone(text: str) -> None:
    assert effects(text) == {Effect.READ, Effect.CODE}


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Email the report to Ann, but don't send it yet", Effect.COMMUNICATE),
        ("Book the room but do not pay anything", Effect.MONEY),
        ("Delete the logs. Actually, don't delete anything.", Effect.DESTROY),
        ("Publie la photo, mais ne la publie pas encore", Effect.PUBLISH),
    ],
)
def test_a_later_general_denial_takes_the_effect_back(text: str, gone: Effect) -> None:
    assert gone not in effects(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Email the report to Ann but don't send it to Ben", Effect.COMMUNICATE),
        ("Reply to Kim and don't email anyone else", Effect.COMMUNICATE),
        ("Delete the temp files but do not delete the photos", Effect.DESTROY),
        ("Don't wait for me: send it", Effect.COMMUNICATE),
        ("Don't delete the folder, just remove the logs in it", Effect.DESTROY),
        ("Don't hesitate to email Ann", Effect.COMMUNICATE),
    ],
)
def test_a_particular_denial_takes_nothing_else_back(text: str, kept: Effect) -> None:
    assert kept in effects(text)


@pytest.mark.parametrize(
    "text",
    [
        "Save the note 'please pay Ann and delete the rest'",
        'create a.txt with the text "send it to everybody"',
        "écris « supprime tout » dans a.txt",
        "add `rm -rf build; publish it` to the readme",
        "write the line: delete all of it and pay Bob",
        "read pay-bob.txt and send.md",
        "what is at delete@example.com in my contacts",
    ],
)
def test_quoted_text_names_and_announced_lines_request_nothing(text: str) -> None:
    assert not letters(text)


@pytest.mark.parametrize(
    "text",
    ["don't open www.example.org", "nothing by mail: don't", "never look it up online", "ne va pas sur internet"],
)
def test_a_denied_link_channel_or_search_asks_for_nothing(text: str) -> None:
    assert not letters(text)


def test_a_link_or_a_channel_asks_without_its_own_verb() -> None:
    assert letters("what is on www.example.org?") == {"f"}
    assert letters("Turn down the offer by mail") == {"c"}
    assert letters("the photos to Ann by mail please") == {"c"}


def test_what_somebody_is_told_to_do_is_only_told() -> None:
    assert letters("Ask Ann to delete the files and pay the bill") == {"c"}
    assert letters("Remind me to order milk and to email Ann") == set()
    assert letters("Ask Ann for the date, then delete the draft") == {"c", "d"}


def test_related_effects_come_together() -> None:
    assert effects("create an event with Ann on Monday") >= {Effect.SELF_ADD, Effect.COMMUNICATE}
    assert effects("delete the file") >= {Effect.DESTROY, Effect.SELF_MODIFY}
    assert effects("add milk to the list") >= {Effect.SELF_ADD, Effect.SELF_MODIFY}
    assert effects("schedule a transfer of 20 EUR") >= {Effect.MONEY, Effect.SELF_MODIFY}
    assert effects("change the amount of the standing order to 80") >= {Effect.MONEY, Effect.SELF_MODIFY}
    assert effects("invite Ann to the team") >= {Effect.ACCESS, Effect.COMMUNICATE}
    assert effects("cancel the event") >= {Effect.DESTROY, Effect.SELF_MODIFY}


def test_a_pronoun_carries_the_topic_over() -> None:
    assert Effect.MONEY in effects("Find my rent payment. Change it to 900.")
    assert Effect.CREDENTIAL in effects("My password is too old, update it")
    assert Effect.MONEY not in effects("Find my notes. Change them.")


@pytest.mark.parametrize(
    "text",
    [
        "Show me the bill that the tenant has to pay",
        "Show me the bill that I need to pay",
        "What do I have to pay?",
        "Give me the phone number and email of Bob",
        "Email from Bob: what is it about?",
        "Don't publish, share or delete it",
        "Do not send or publish the photo",
        "never email, text or call the client",
    ],
)
def test_mentions_nouns_and_lists_under_one_denial_ask_for_nothing(text: str) -> None:
    assert not letters(text)
