"""An incident's evidence in one file: a tar that anybody can check without this machine.

Layer: app. Reads files and the ledger only; the transcript is handed in. Format: docs/formats/incident.md.
Laws: the same evidence gives the same bytes; every member but the manifest stands in the manifest with its SHA-256; what
was left out for a bound, or could not be read, is named there.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carapax.adapters.ledger.reader import newest_checkpoint, prove_entry, read_entries
from carapax.core.ledger.entry import Entry
from carapax.core.terms.error import CarapaxError
from carapax.core.terms.incident import Incident
from carapax.core.terms.plain import canonical_json, plain

FORMAT = "carapax-incident-export/1"
MAX_ENTRIES = 20_000
"""Ledger entries of one export, the newest ones."""

MAX_PROOFS = 200
"""Entries of one export that bring their proof: the opening, then the newest."""

MAX_READ_ENTRIES = 2_000_000
MAX_TRANSCRIPT_BYTES = 64 << 20
PAGE = 2_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an export is made of."""

    incident: Incident
    ledger: Path
    public_key: bytes
    transcript: Iterable[Mapping[str, Any]] | None  # None when it could not be read


def export_incident(evidence: Evidence) -> bytes:
    """The tar. Raises StoreUnavailable, LedgerUnavailable for a ledger that cannot be read at all."""
    missing: list[str] = []
    members = dict(_members(evidence, missing))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = {
        "format": FORMAT,
        "incident": evidence.incident.number,
        "members": {name: {"bytes": len(members[name]), "sha256": digest} for name, digest in digests.items()},
        "missing": missing,
    }
    members["manifest.json"] = canonical_json(manifest) + b"\n"
    return _tar(members, evidence.incident.opened_ms // 1000)


def _members(evidence: Evidence, missing: list[str]) -> Iterator[tuple[str, bytes]]:
    incident = evidence.incident
    yield "incident.json", _json(plain(replace(incident, processes=())))
    yield "processes.json", _json(plain(incident.processes))
    yield "ledger/public-key.txt", f"ed25519 {evidence.public_key.hex()}\n".encode()
    entries = _entries(evidence, missing)
    yield "ledger/entries.jsonl", b"".join(canonical_json(plain(entry)) + b"\n" for entry in entries)
    network = [entry for entry in entries if entry.kind.startswith(("egress", "way"))]
    yield "network.jsonl", b"".join(canonical_json(plain(entry)) + b"\n" for entry in network)
    try:
        yield "ledger/checkpoint.txt", newest_checkpoint(evidence.ledger).encode()
    except CarapaxError as error:
        missing.append(f"ledger/checkpoint.txt: {error.what}")
    yield from _proofs(evidence, entries, missing)
    if evidence.transcript is None:
        missing.append("transcript.jsonl: the conversation could not be read")
    else:
        yield "transcript.jsonl", _transcript(evidence.transcript, missing)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, indent=1).encode() + b"\n"


def _entries(evidence: Evidence, missing: list[str]) -> list[Entry]:
    """The session's entries with those of its calls and ways; of the hour before when everything was halted."""
    found: list[Entry] = []
    names: set[str] = {str(name) for name in (evidence.incident.session, evidence.incident.call) if name}
    for entry in _walk(evidence.ledger):
        if not _concerns(entry, evidence.incident, names):
            continue
        names |= {str(entry.body[key]) for key in ("call", "turn") if entry.body.get(key)}
        found.append(entry)
    if len(found) > MAX_ENTRIES:
        missing.append(f"ledger/entries.jsonl: {len(found) - MAX_ENTRIES} earlier entries are left out")
    return found[-MAX_ENTRIES:]


def _concerns(entry: Entry, incident: Incident, names: set[str]) -> bool:
    if incident.session is None:
        return entry.time_ms >= incident.opened_ms - HOUR_MS
    if (
        entry.body.get("incident", entry.body.get("number") if entry.kind == "incident.opened" else None)
        == incident.number
    ):
        return True
    return any(isinstance(entry.body.get(key), str) and entry.body[key] in names for key in ("session", "turn", "call"))


def _walk(ledger: Path) -> Iterator[Entry]:
    first = 0
    while first < MAX_READ_ENTRIES and (page := read_entries(ledger, first, PAGE)):
        yield from page
        first += len(page)


def _proofs(evidence: Evidence, entries: list[Entry], missing: list[str]) -> Iterator[tuple[str, bytes]]:
    opening = [entry for entry in entries if entry.index == evidence.incident.entry]
    chosen = {int(entry.index) for entry in (*opening, *entries[-(MAX_PROOFS - len(opening)) :])}
    if len(chosen) < len(entries):
        missing.append(f"ledger/proofs: {len(entries) - len(chosen)} entries without a proof")
    for index in sorted(chosen):
        try:
            yield f"ledger/proofs/{index}.proof", prove_entry(evidence.ledger, index).encode()
        except CarapaxError as error:
            missing.append(f"ledger/proofs/{index}.proof: {error.what}")


def _transcript(parts: Iterable[Mapping[str, Any]], missing: list[str]) -> bytes:
    written = io.BytesIO()
    for part in parts:
        written.write(json.dumps(part, ensure_ascii=True, sort_keys=True).encode() + b"\n")
        if written.tell() > MAX_TRANSCRIPT_BYTES:
            missing.append("transcript.jsonl: cut at 64 MiB")
            break
    return written.getvalue()


def _tar(members: Mapping[str, bytes], time_s: int) -> bytes:
    """A tar whose bytes follow from its members alone: sorted, one time, nobody's name."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(members):
            head = tarfile.TarInfo(name)
            head.size, head.mtime, head.mode = len(members[name]), time_s, 0o600
            archive.addfile(head, io.BytesIO(members[name]))
    return written.getvalue()
