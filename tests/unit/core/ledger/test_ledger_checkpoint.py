"""Signed notes: a known answer, strict parsing, and keys that do not match."""

from __future__ import annotations

import base64

import pytest

from carapax.adapters.ledger.signature import checker, signer
from carapax.core.ledger.checkpoint import (
    Checkpoint,
    key_id,
    parse_checkpoint,
    parse_origin,
    parse_verifier_key,
    render_verifier_key,
    sign_checkpoint,
    verify_checkpoint,
)
from carapax.core.terms.error import Malformed

ORIGIN = "carapax.test/ledger"
PUBLIC, SIGN = signer(bytes(range(32)))
OTHER_PUBLIC, OTHER_SIGN = signer(bytes(32))
POINT = Checkpoint(ORIGIN, 12, bytes(range(32)))
NOTE = sign_checkpoint(POINT, PUBLIC, SIGN)


def test_the_published_key_and_signature_of_the_format_hold() -> None:
    # The example of the Go module golang.org/x/mod/sumdb/note, from which the format comes.
    name, public = parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    signed = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    assert (name, signed[:4]) == ("PeterNeumann", key_id(name, public))
    assert checker(public)(signed[4:], text.encode())
    assert render_verifier_key(name, public).endswith("+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")


def test_the_note_is_five_lines_in_order() -> None:
    lines = NOTE.split("\n")
    assert lines[:4] == [ORIGIN, "12", base64.b64encode(POINT.root).decode(), ""]
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]


def test_a_signed_note_verifies() -> None:
    assert verify_checkpoint(NOTE, PUBLIC, checker(PUBLIC)) == POINT


def test_signatures_of_witnesses_are_ignored() -> None:
    line = sign_checkpoint(Checkpoint("witness.test", 12, POINT.root), OTHER_PUBLIC, OTHER_SIGN).rpartition("\n\n")[2]
    assert verify_checkpoint(NOTE + line, PUBLIC, checker(PUBLIC)) == POINT
    assert verify_checkpoint(NOTE.replace("— ", line + "— ", 1), PUBLIC, checker(PUBLIC)) == POINT


def test_every_changed_character_is_refused() -> None:
    for at in range(len(NOTE)):
        changed = NOTE[:at] + ("B" if NOTE[at] != "B" else "C") + NOTE[at + 1 :]
        with pytest.raises(Malformed):
            verify_checkpoint(changed, PUBLIC, checker(PUBLIC))
        with pytest.raises(Malformed):
            verify_checkpoint(NOTE[:at], PUBLIC, checker(PUBLIC))


def test_another_key_or_name_is_refused() -> None:
    with pytest.raises(Malformed, match="not signed by the expected key"):
        verify_checkpoint(NOTE, OTHER_PUBLIC, checker(OTHER_PUBLIC))
    with pytest.raises(Malformed):
        verify_checkpoint(NOTE.replace(ORIGIN, "carapax.test/other"), PUBLIC, checker(PUBLIC))
    forged = sign_checkpoint(POINT, PUBLIC, OTHER_SIGN)  # claims our key id
    with pytest.raises(Malformed, match="signature"):
        verify_checkpoint(forged, PUBLIC, checker(PUBLIC))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE.replace("\n12\n", "\n012\n"),
        NOTE.replace("\n12\n", "\n-1\n"),
        NOTE.replace("\n12\n", "\n12\nextension\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("\n", "\r\n"),
        NOTE[:-1],
        NOTE + "— \n",
        NOTE + "x" * 20_000,
        NOTE.replace(base64.b64encode(POINT.root).decode(), "AAAA"),
        NOTE.replace(base64.b64encode(POINT.root).decode(), base64.b64encode(POINT.root).decode()[:-2] + "9="),
    ],
)
def test_other_shapes_do_not_parse(note: str) -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(note)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nbreak", "x" * 201])
def test_names_that_notes_cannot_carry(origin: str) -> None:
    with pytest.raises(Malformed):
        parse_origin(origin)


@pytest.mark.parametrize("text", ["", "a+b", "name+00000000+AAAA", "name+zz+!!!", f"{ORIGIN}+00000000+{'A' * 44}"])
def test_bad_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_verifier_key(text)


def test_verifier_keys_round_trip() -> None:
    assert parse_verifier_key(render_verifier_key(ORIGIN, PUBLIC) + "\n") == (ORIGIN, PUBLIC)


def test_a_public_key_has_32_bytes() -> None:
    with pytest.raises(Malformed):
        checker(b"short")
