"""An imagined task: what a call is judged against when no session runs, for explaining and rehearsing a policy.

Layer: app. Absent: knowledge of a session. Where the owner's words are not given, every effect counts as asked for, so
that what is shown is the policy's answer alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from carapax.core.flow.knowledge import Knowledge
from carapax.core.flow.mentions import Mentions
from carapax.core.flow.words import read_words
from carapax.core.intent.words import plan_words
from carapax.core.rules.task import Task
from carapax.core.terms.action import Effect, ToolManifest
from carapax.core.terms.label import Label
from carapax.core.terms.plan import Plan
from carapax.core.terms.tables import Tables


def imagined_task(tables: Tables, context: Label, said: str = "", manifests: Sequence[ToolManifest] = ()) -> Task:
    """A fresh task in a context with this label; `said` are the owner's words."""
    words = read_words(said)
    plan = plan_words(said, manifests) if said else Plan(effects=frozenset(Effect))
    nothing = Mentions(frozenset(), frozenset())
    return Task(words, words, plan, Knowledge(), nothing, context, tables=tables, directory=tables.directory)
