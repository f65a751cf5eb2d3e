"""Proofs as text: one entry, its inclusion path and a checkpoint, checkable without the ledger.

Layer: core/ledger. Owns the rendering, the parsing and the verification of inclusion proofs.
Source: C2SP tlog-proof v1; its `extra` line carries the entry's bytes, so the text stands alone.
Law: `verify_proof` returns an entry only when the trusted key signed a tree that holds these bytes at this index.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from carapax.core.ledger.checkpoint import Check, Checkpoint, verify_checkpoint
from carapax.core.ledger.entry import Entry, parse_entry
from carapax.core.ledger.merkle import inclusion_root, leaf_hash
from carapax.core.terms.error import Malformed

PROOF_BYTES = 131_072  # ceiling of a proof's text
_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry that the ledger's key vouches for."""

    entry: Entry
    checkpoint: Checkpoint


def render_proof(line: bytes, index: int, path: Sequence[bytes], note: str) -> str:
    """The proof's text for the entry in `line`."""
    hashes = "".join(base64.b64encode(h).decode() + "\n" for h in path)
    return f"{_HEADER}\nextra {base64.b64encode(line).decode()}\nindex {index}\n{hashes}\n{note}"


def verify_proof(text: str, public_key: bytes, check: Check) -> ProvenEntry:
    """The proven entry. Raises Malformed when anything in the text does not hold."""
    if len(text) > PROOF_BYTES:
        raise Malformed("a proof over the ceiling of 128 KiB")
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 3 or lines[0] != _HEADER or not lines[1].startswith("extra "):
        raise Malformed("this is not a proof of a ledger entry")
    at = _INDEX.fullmatch(lines[2])
    if at is None:
        raise Malformed("the proof names no index")
    checkpoint = verify_checkpoint(note, public_key, check)
    line, index = _decode(lines[1][len("extra ") :]), int(at[1])
    root = inclusion_root(leaf_hash(line), index, checkpoint.size, [_decode(h) for h in lines[3:]])
    if root != checkpoint.root:
        raise Malformed(f"the proof does not lead entry {index} to the checkpoint's root")
    entry = parse_entry(line)
    if entry.index != index:
        raise Malformed(f"the proof is for entry {index}, the entry says {entry.index}")
    return ProvenEntry(entry, checkpoint)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("a line of the proof is not base64") from error
