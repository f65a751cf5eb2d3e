"""The clean-context planner: a model that sees only the owner's words says which effects they ask for.

Layer: agent. An addition to the planner of rules (`core/intent`) for words that it cannot read: other languages, other turns
of phrase. It is asked before any untrusted text is read; it sees no history, no result, no file.
Absent: values. Which recipient or which file is never taken from a model.
Laws: the result is a subset of the effects that the tools have; any failure or odd answer is the empty set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from carapax.agent.ask import Charge, ask_once
from carapax.core.terms.action import Effect, ToolManifest
from carapax.core.terms.error import ModelMissing, ProviderFailed
from carapax.ports.provider import Message, Prompt, Provider, Speaker

WORDS_CHARS = 2_000
"""Longer words are not asked about: who writes that much has pasted something."""
ANSWER_CHARS = 400
PLAN_TOKENS = 80
QUESTION, ORDER = "question", "order"
_OF_QUESTIONS = frozenset({Effect.READ, Effect.FETCH})  # a question about a payment pays nothing
MOST_EFFECTS = 4
"""More at once is no plan but a guess."""

_MEANINGS = {
    Effect.READ: "look at, search, summarise, translate or explain; also plain talk and questions",
    Effect.FETCH: "open a web page or a link",
    Effect.SELF_ADD: "make something new: a file, a note, a calendar entry, a draft",
    Effect.SELF_MODIFY: "change, rename, move or overwrite something that is there",
    Effect.DESTROY: "delete or remove something, empty the bin, cancel an entry",
    Effect.COMMUNICATE: "send a message, a mail, an answer or an invitation to somebody",
    Effect.PUBLISH: "post something where everybody can read it",
    Effect.ACCESS: "share something with somebody, invite to or remove from a group, change rights",
    Effect.MONEY: "pay, transfer, buy, order or book",
    Effect.CREDENTIAL: "log in, set or change a password or a key",
    Effect.CODE: "run a command, a script, a program or tests",
}
_EXAMPLES: tuple[tuple[str, tuple[Effect, ...]], ...] = (
    ("Quelles photos sont les plus grandes ?", (Effect.READ,)),
    ("Fasse das Protokoll zusammen und schicke die Zusammenfassung an Petra.", (Effect.READ, Effect.COMMUNICATE)),
    ("Explain how a bank transfer works.", (Effect.READ,)),
    ("Borra los registros antiguos.", (Effect.DESTROY,)),
    ("Rinomina bozza.md in finale.md", (Effect.SELF_MODIFY,)),
    ("Schreib mir eine Einkaufsliste in liste.txt", (Effect.SELF_ADD,)),
    ("Don't send anything yet, just show me the letter.", (Effect.READ,)),
    ("Paga la factura de la luz y avisa a Marta.", (Effect.MONEY, Effect.COMMUNICATE)),
    ("Lass die Tests laufen.", (Effect.CODE,)),
    ("Partage le dossier avec l'équipe.", (Effect.ACCESS,)),
    ("Open the link and tell me the price.", (Effect.FETCH, Effect.READ)),
    ("Ist die Mail an Jonas schon gelöscht?", (Effect.READ,)),
    ("Combien ai-je payé pour le loyer en mars ?", (Effect.READ,)),
    ("¿Quién envió el paquete?", (Effect.READ,)),
    ("Veröffentliche den Artikel im Blog.", (Effect.PUBLISH,)),
    ("Cambia mi contraseña del foro.", (Effect.CREDENTIAL,)),
)


async def plan_with_model(
    provider: Provider,
    words: str,
    tools: Sequence[ToolManifest],
    *,
    charge: Charge | None = None,
    ask_small: bool = False,
) -> frozenset[Effect]:
    """The effects that the owner's words ask for, among those of the tools; empty when the model fails or answers oddly.

    Asks once, at most 80 tokens of answer; words over 2,000 characters are not asked about. Small models are not asked
    unless `ask_small`: too many of the dangerous effects that they name were never asked for. Raises what `charge` raises.
    """
    if provider.facts().small and not ask_small:
        return frozenset()
    offered = tuple(effect for effect in Effect if any(tool.effect is effect for tool in tools))
    if not words.strip() or len(words) > WORDS_CHARS or not offered:
        return frozenset()
    try:
        completion = await ask_once(provider, plan_prompt(words, offered), charge)
    except (ProviderFailed, ModelMissing):
        return frozenset()
    return parse_plan(completion.text, frozenset(offered))


def plan_prompt(words: str, offered: Sequence[Effect]) -> Prompt:
    """What the model is asked; the part before the words is the same for equal tools, so a saved state serves it."""
    lines = "\n".join(f"- {effect}: {_MEANINGS[effect]}" for effect in offered)
    instructions = (
        "A person writes to an assistant, in any language. Say what the assistant must do to the world for it.\n"
        f"The effects:\n{lines}\n"
        f'Answer with one JSON object: {{"is": "{QUESTION}" or "{ORDER}", "effects": [...]}}.\n'
        f"It is a {QUESTION} when the person wants to know or to see something, also about what somebody did or will do "
        f"or how a thing is done: its effects are only read or fetch. It is an {ORDER} when the person wants it done now. "
        "Name only what is asked for now, nothing that the person forbids."
    )
    shown = [
        message
        for said, effects in _EXAMPLES
        if set(effects) <= set(offered)
        for message in (Message(Speaker.USER, said), Message(Speaker.ASSISTANT, _render(effects)))
    ]
    return Prompt(
        instructions,
        (*shown, Message(Speaker.USER, words)),
        tools=(),
        max_output_tokens=PLAN_TOKENS,
        schema=plan_schema(offered),
    )


def plan_schema(offered: Sequence[Effect]) -> dict[str, Any]:
    """The JSON Schema of `{"is": …, "effects": [...]}`; the sort comes first, so that the effects follow from it."""
    effects = {
        "type": "array",
        "items": {"type": "string", "enum": [effect.value for effect in offered]},
        "minItems": 1,
        "maxItems": MOST_EFFECTS,
    }
    return {
        "type": "object",
        "properties": {"is": {"type": "string", "enum": [QUESTION, ORDER]}, "effects": effects},
        "required": ["is", "effects"],
        "additionalProperties": False,
    }


def parse_plan(text: str, offered: frozenset[Effect]) -> frozenset[Effect]:
    """The effects of an answer that keeps to the schema exactly; else none."""
    if len(text) > ANSWER_CHARS:
        return frozenset()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(value, dict) or value.keys() != {"is", "effects"} or not isinstance(value["effects"], list):
        return frozenset()
    if value["is"] not in (QUESTION, ORDER):
        return frozenset()
    named = value["effects"]
    known = {effect.value for effect in offered}
    if len(named) > MOST_EFFECTS or not all(isinstance(name, str) and name in known for name in named):
        return frozenset()
    effects = frozenset(Effect(name) for name in named)
    if value["is"] == ORDER:
        return effects
    return effects & _OF_QUESTIONS or offered & {Effect.READ}


def _render(effects: Sequence[Effect]) -> str:
    sort = QUESTION if set(effects) <= _OF_QUESTIONS else ORDER
    return json.dumps({"is": sort, "effects": [effect.value for effect in effects]})
