"""What the owner's words ask for: one plan per task, fixed before any untrusted text is read.

Layer: core/intent; imports `core/terms` and `core/flow` only. Pure, deterministic, linear in the text.
Owns: which words request an effect (`vocabulary`, data), where in a sentence a word is a request (`clauses`),
how things are named without being written out (`marks`), and the plan made of both (`words`).
Absent: models, tool results, the values of arguments (`core/flow`). Nothing but text and manifests has a say.
"""
