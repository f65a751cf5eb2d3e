"""The ledger on disk: `FileLedger` writes it, `reader` reads, verifies, proves and exports it without a daemon.

Layer: adapters/ledger; implements `ports.ledger.Ledger`. Import from the module: `file_ledger`, `reader`.
Absent: a network witness; keep a checkpoint elsewhere and give it to `verify_ledger`.
"""
