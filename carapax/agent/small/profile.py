"""The fixed part of a small model's prompt: who it is, its tools in a line each, worked examples.

Layer: agent/small; pure. It is the same for every request of a language and a set of tools, so its saved state is reused.
Absent: the caller's own instructions: a small model follows examples, and long prose costs seconds of reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from carapax.agent.small.examples import load_examples
from carapax.agent.small.language import Language
from carapax.agent.small.steps import render_reply
from carapax.core.terms.action import ToolManifest
from carapax.ports.provider import Message, Prompt, Speaker

LEFT_OUT = frozenset({"ask_user", "attach_file", "read_value", "run_online", "send_message", "web_fetch", "web_search"})
"""It asks by replying, and reads files itself; each choice more costs it right ones."""

OPTIONAL_SHOWN = frozenset({"path"})  # every further choice is one more to get wrong
_LINE_LETTERS = 110

_RULES = {
    Language.ENGLISH: """You are Carapax, an assistant that works in one person's folder through tools.
Answer with one JSON object: a tool call like {{"tool": "read_file", "path": "notes.txt", "then": "answer"}} or {{"reply": "..."}}.
"then" names what is still left to do after this call; "answer" when nothing is left.
Tools:
{tools}
Rules:
- To look at or change files, or to learn the time, the disk or the system, call a tool. Never guess what a file holds.
- Do exactly what is asked, one call at a time, until all of it is done. Say that something is done only after its result says so.
- Talk, explanations and general knowledge: reply at once, without a tool.
- You have no mail, no web, no calendar, no phone: say that you cannot do that.
- You cannot undo: the person types /undo.
- Reply in English, in one or two sentences, with the numbers, names or words that the result gave.""",
    Language.FRENCH: """Tu es Carapax, un assistant qui travaille dans le dossier d'une personne au moyen d'outils.
Réponds par un seul objet JSON : un appel comme {{"tool": "read_file", "path": "notes.txt", "then": "answer"}} ou {{"reply": "..."}}.
"then" nomme ce qui restera à faire après cet appel ; "answer" s'il ne reste rien.
Outils :
{tools}
Règles :
- Pour voir ou changer des fichiers, ou connaître l'heure, le disque ou le système, appelle un outil. Ne devine jamais un contenu.
- Fais exactement ce qui est demandé, un appel à la fois, jusqu'au bout. Ne dis que c'est fait qu'après un résultat qui le dit.
- Conversation, explications et culture générale : réponds tout de suite, sans outil.
- Tu n'as ni courrier, ni web, ni agenda, ni téléphone : dis que tu ne peux pas le faire.
- Tu ne peux pas annuler : la personne tape /undo.
- Réponds en français, en une ou deux phrases, avec les nombres, noms ou mots que le résultat a donnés.""",
}
_BORDER = {
    Language.ENGLISH: ("Those were examples with other files. Now the real conversation begins.", "Understood."),
    Language.FRENCH: (
        "C'étaient des exemples avec d'autres fichiers. Maintenant commence la vraie conversation.",
        "Compris.",
    ),
}


def offered_tools(tools: Sequence[ToolManifest]) -> tuple[ToolManifest, ...]:
    """The tools a small model is shown, by name (so that the order they come in makes no new fixed part), without rare arguments."""
    chosen = (
        replace(tool, args=tuple(arg for arg in tool.args if arg.required or arg.name in OPTIONAL_SHOWN))
        for tool in tools
        if tool.name not in LEFT_OUT
    )
    return tuple(sorted(chosen, key=lambda tool: tool.name))


def fixed_part(language: Language, tools: Sequence[ToolManifest]) -> Prompt:
    """Instructions and examples, the beginning of every prompt of this language with these tools."""
    names = frozenset(tool.name for tool in tools)
    shown = [example for example in load_examples(language) if example.tools <= names]
    said, answered = _BORDER[language]
    border = (Message(Speaker.USER, said), Message(Speaker.ASSISTANT, render_reply(answered)))
    messages = [message for example in shown for message in example.messages]
    rules = _RULES[language].format(tools="\n".join(_line(tool) for tool in tools))
    return Prompt(rules, (*messages, *border) if shown else ())


def _line(tool: ToolManifest) -> str:
    arguments = ", ".join(arg.name if arg.required else f"{arg.name}?" for arg in tool.args)
    first = tool.description.strip().split(". ")[0].split("\n")[0].rstrip(".")
    return f"- {tool.name}({arguments}): {first[:_LINE_LETTERS]}"
