"""The ledger's bytes and mathematics: entries, Merkle tree, checkpoints, proofs, audit.

Layer: core/ledger. Pure: no files, no clock, no keys; signing and checking signatures are callables given by the caller.
Absent: durability and layout on disk (`adapters/ledger`).
Source: RFC 6962 section 2.1, RFC 9162 section 2.1, C2SP signed-note, tlog-checkpoint and tlog-proof.
"""
