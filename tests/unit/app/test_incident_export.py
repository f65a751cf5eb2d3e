"""An incident's export: the same evidence gives the same bytes, and anybody can check it with the public key alone."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carapax.adapters.ledger.file_ledger import FileLedger
from carapax.adapters.ledger.reader import verify_proof
from carapax.app import incident_export
from carapax.app.incident_export import Evidence, export_incident
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.ids import CallId
from carapax.core.terms.incident import HaltedProcess
from carapax.core.terms.plain import plain
from tests.unit.app.alarm import A, B, Clock
from tests.unit.app.test_incident_files import ONE

ORIGIN, SEED = "carapax.test/ledger", bytes(range(32))
CALL = CallId("c1")
PARTS: list[dict[str, Any]] = [{"seq": 0, "kind": "user", "text": "hé\n"}, {"seq": 1, "kind": "reply", "text": "no"}]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ledger") / "ledger"
    entries: list[tuple[str, dict[str, Any]]] = [
        ("gateway.started", {"version": "x"}),
        ("message", {"session": A, "turn": "t1"}),
        ("message", {"session": B, "turn": "t2"}),
        ("call", {"session": A, "turn": "t1", "call": CALL, "tool": "shell"}),
        ("egress.asked", {"call": CALL, "host": "files.example"}),
        ("receipt", {"call": CALL, "turn": "t1", "outcome": "done"}),
        ("receipt", {"call": "other", "turn": "t2", "outcome": "done"}),
        ("incident.opened", {"number": 3, "session": A}),
        ("incident.kept", {"incident": 3, "session": A}),
    ]

    async def write() -> None:
        kept = FileLedger.open(place, SEED, ORIGIN, Clock())
        for kind, body in entries:
            await kept.append(kind, body)
        await kept.close()

    asyncio.run(write())
    return place


@pytest.fixture(scope="module")
def key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()


def evidence(ledger: Path, key: bytes, **changes: Any) -> Evidence:
    incident = replace(ONE, call=CALL, entry=7, processes=(HaltedProcess(9, 1, ("curl",), ("/x",)),))
    return replace(Evidence(incident, ledger, key, PARTS), **changes)


def opened(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]


def lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def test_the_same_evidence_gives_the_same_bytes(ledger: Path, key: bytes) -> None:
    first = export_incident(evidence(ledger, key))
    assert first == export_incident(evidence(ledger, key))
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        heads = archive.getmembers()
    assert [h.name for h in heads] == sorted(h.name for h in heads)
    assert {(h.uid, h.gid, h.uname, h.mode, h.mtime) for h in heads} == {(0, 0, "", 0o600, ONE.opened_ms // 1000)}


def test_every_member_stands_in_the_manifest_with_its_digest(ledger: Path, key: bytes) -> None:
    members = opened(export_incident(evidence(ledger, key)))
    manifest = json.loads(members.pop("manifest.json"))
    assert manifest["format"] == incident_export.FORMAT
    assert manifest["missing"] == []
    assert {name: told["sha256"] for name, told in manifest["members"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in members.items()
    }


def test_it_holds_the_entries_of_the_session_and_its_calls_and_no_others(ledger: Path, key: bytes) -> None:
    members = opened(export_incident(evidence(ledger, key)))
    assert [e["index"] for e in lines(members["ledger/entries.jsonl"])] == [1, 3, 4, 5, 7, 8]
    assert [e["kind"] for e in lines(members["network.jsonl"])] == ["egress.asked"]
    assert json.loads(members["processes.json"])[0]["command"] == ["curl"]
    assert json.loads(members["incident.json"])["number"] == 3
    assert lines(members["transcript.jsonl"]) == PARTS


def test_every_entry_is_proven_under_the_exported_key(ledger: Path, key: bytes) -> None:
    members = opened(export_incident(evidence(ledger, key)))
    told = bytes.fromhex(members["ledger/public-key.txt"].decode().split()[1])
    entries = {e["index"]: e for e in lines(members["ledger/entries.jsonl"])}
    proofs = [content.decode() for name, content in members.items() if name.startswith("ledger/proofs/")]
    assert len(proofs) == len(entries)
    for proof in proofs:
        entry = plain(verify_proof(proof, told).entry)
        assert entries[entry["index"]] == entry
    with pytest.raises(CarapaxError):
        verify_proof(proofs[0], bytes(32))
    assert members["ledger/checkpoint.txt"].decode().startswith(ORIGIN)


def test_what_is_left_out_is_named(ledger: Path, key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident_export, "MAX_ENTRIES", 4)
    monkeypatch.setattr(incident_export, "MAX_PROOFS", 2)
    members = opened(export_incident(evidence(ledger, key, transcript=None)))
    missing = json.loads(members["manifest.json"])["missing"]
    assert [text.split(":")[0] for text in missing] == ["ledger/entries.jsonl", "ledger/proofs", "transcript.jsonl"]
    assert [e["index"] for e in lines(members["ledger/entries.jsonl"])] == [4, 5, 7, 8]
    # the opening is always proven
    assert {"ledger/proofs/7.proof", "ledger/proofs/8.proof"} <= set(members)
    assert "transcript.jsonl" not in members


def test_a_long_transcript_is_cut_and_says_so(ledger: Path, key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident_export, "MAX_TRANSCRIPT_BYTES", 50)
    members = opened(export_incident(evidence(ledger, key, transcript=PARTS * 1_000)))
    assert len(lines(members["transcript.jsonl"])) <= 2
    assert "transcript.jsonl" in json.loads(members["manifest.json"])["missing"][0]


def test_an_incident_of_everybody_holds_the_hour_before_it(ledger: Path, key: bytes) -> None:
    late = replace(ONE, session=None, opened_ms=Clock().now_ms())
    members = opened(export_incident(evidence(ledger, key, incident=late)))
    assert len(lines(members["ledger/entries.jsonl"])) == 9
    early = replace(late, opened_ms=Clock().now_ms() + 2 * incident_export.HOUR_MS)
    members = opened(export_incident(evidence(ledger, key, incident=early)))
    assert lines(members["ledger/entries.jsonl"]) == []
