"""Labels of results: what a call's answer may claim, given its arguments, its manifest and the files it was pointed at.

Layer: guard. Law: no result is labelled better than its arguments; a tool cannot lower its own label, only its manifest
and the labels of files speak for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from carapax.core.flow.knowledge import address_form
from carapax.core.flow.lattice import join_all, join_readers
from carapax.core.flow.records import Record, source_name
from carapax.core.rules.outward import ORG
from carapax.core.terms.action import ArgRole, CanonicalCall, Effect, ToolManifest
from carapax.core.terms.ids import PrincipalId
from carapax.core.terms.label import OWNER, OWNER_ONLY, PUBLIC, Integrity, Label, Readers, Shape, Source
from carapax.ports.labels import FileLabels


async def files_label(call: CanonicalCall, files: FileLabels | None) -> Label | None:
    """The join over the files that a call is pointed at, as they are before it runs; None where files do not matter."""
    manifest = call.manifest
    if files is None or not (manifest.from_files or manifest.scalar or manifest.touches_workspace):
        return None
    paths = [t.value for a in call.arguments if a.role is ArgRole.PATH for t in a.traces]
    # A command may have read everything it can see.
    return await files.label(["."] if manifest.effect is Effect.CODE or not paths else paths)


def result_label(call: CanonicalCall, read: Label | None, records: tuple[Record, ...] = ()) -> Label:
    """The label of a call's result: its arguments joined with what its manifest, its records and its files say.

    `read` is the label of its files, taken before it ran: what a command deletes was still read.
    """
    manifest = call.manifest
    source = Source("tool", call.call, source_name(manifest.name, records))
    told = manifest.effect in (Effect.READ, Effect.CODE) and not (
        manifest.records and all(r.directory for r in manifest.records)
    )
    classes = frozenset({f"domain:{manifest.domain}"} if manifest.domain and told else ())
    integrity, shape = manifest.result_integrity, Shape.SCALAR if manifest.scalar else Shape.TEXT
    if manifest.from_files and read is not None:
        integrity = Integrity.SYSTEM
    declared = Label(integrity, declared_readers(manifest, records), frozenset({source}), classes, shape)
    labels = [*(argument.label for argument in call.arguments), declared]
    if read is None:
        return join_all(labels)
    if manifest.scalar:
        # A bounded value says too little to carry an instruction; who may read it and whose it is stays.
        asked = [replace(label, integrity=max(label.integrity, manifest.result_integrity)) for label in (*labels, read)]
        return replace(join_all(asked), shape=Shape.SCALAR)
    return join_all([*labels, read]) if manifest.from_files else join_all(labels)


def written_label(call: CanonicalCall, context: Label, result: Label, read: Label | None) -> Label:
    """The label of files that a call changed: what it was given, what stood there, and for code all it could have read."""
    if call.manifest.effect is Effect.CODE:
        return join_all((context, result, *([read] if read is not None else [])))
    return join_all((*(argument.label for argument in call.arguments), *([read] if read is not None else [])))


def declared_readers(manifest: ToolManifest, records: tuple[Record, ...]) -> Readers:
    """Who may read what a tool told, apart from what it was given: for records, whoever wrote or got all of them."""
    declared = manifest.result_readers
    if declared == "public":
        return PUBLIC
    if declared == "org":
        return Readers(names=frozenset({OWNER, ORG}))
    each = [
        Readers(names=frozenset({OWNER, *(PrincipalId(address_form(r)) for r in record.readers())}))
        for record in records
    ]
    return reduce(join_readers, each) if each else OWNER_ONLY
