"""Completion scripts for bash, zsh and fish, made from the grammar itself.

Layer: surfaces/cli; pure. Absent: completing session ids and the like, which would need a running gateway.
"""

from __future__ import annotations

import argparse

from carapax.surfaces.cli.parser import subparsers


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script that teaches one shell the commands, actions and options."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_words(parser))


def _words(parser: argparse.ArgumentParser) -> dict[str, tuple[list[tuple[str, str]], str]]:
    """Path of commands ("", "ledger", "ledger show") → what may follow, each with its help; and its own help."""
    found: dict[str, tuple[list[tuple[str, str]], str]] = {}

    def walk(path: str, p: argparse.ArgumentParser) -> None:
        below = subparsers(p)
        words = [(name, _short(sub.description)) for name, sub in below.items()]
        for action in p._actions:
            words += [(option, _short(action.help)) for option in action.option_strings if option.startswith("--")]
            if not action.option_strings and action.choices and not isinstance(action, argparse._SubParsersAction):
                words += [(str(choice), "") for choice in action.choices]
        found[path] = (words, _short(p.description))
        for name, sub in below.items():
            walk(f"{path} {name}".strip(), sub)

    walk("", parser)
    return found


def _short(text: str | None) -> str:
    return (text or "").split("\n")[0].replace("'", "’").replace("%%", "%")


def _case(words: dict[str, tuple[list[tuple[str, str]], str]]) -> str:
    lines = []
    for path, (following, _) in words.items():
        lines.append(f'    "{path}") words="{" ".join(word for word, _ in following)}" ;;')
    return "\n".join(lines)


_PATH = """  local path="" word words=""
  for word in {before}; do
    case "$word" in -*) ;; *) case " {known} " in *" ${{path:+$path/}}$word "*) path="${{path:+$path/}}$word" ;; esac ;; esac
  done
  case "${{path//\\// }}" in
{case}
  esac
"""


def _shell_body(words: dict[str, tuple[list[tuple[str, str]], str]], before: str) -> str:
    known = " ".join(path.replace(" ", "/") for path in words if path)
    return _PATH.format(before=before, known=known, case=_case(words))


def _bash(words: dict[str, tuple[list[tuple[str, str]], str]]) -> str:
    body = _shell_body(words, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')
    return (
        "# eval \"$(carapax completion bash)\"\n_carapax() {\n" + body
        + '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))\n}\n'
        + "complete -o default -F _carapax carapax\n"
    )  # fmt: skip


def _zsh(words: dict[str, tuple[list[tuple[str, str]], str]]) -> str:
    # In zsh `path` is tied to PATH, so it gets another name.
    body = (
        _shell_body(words, '"${(@)words[2,CURRENT-1]}"')
        .replace("words=", "offered=")
        .replace('word offered=""', 'word offered=""')
    )
    body = (
        body.replace("local path=", "local at=")
        .replace("${path", "${at")
        .replace("$path", "$at")
        .replace('path="', 'at="')
    )
    return (
        "#compdef carapax\n# eval \"$(carapax completion zsh)\"\n_carapax() {\n" + body
        + "  compadd -- ${=offered}\n}\ncompdef _carapax carapax\n"
    )  # fmt: skip


def _fish(words: dict[str, tuple[list[tuple[str, str]], str]]) -> str:
    lines = ["# carapax completion fish | source", "complete -c carapax -f"]
    for path, (following, _) in words.items():
        steps = path.split()
        seen = "; and ".join(f"__fish_seen_subcommand_from {step}" for step in steps) or "__fish_use_subcommand"
        names = [word for word, _ in following if not word.startswith("-")]
        for word, about in following:
            if word.startswith("--"):
                lines.append(f"complete -c carapax -n '{seen}' -l {word[2:]} -d '{about}'")
            else:
                only = f"; and not __fish_seen_subcommand_from {' '.join(names)}" if steps else ""
                lines.append(f"complete -c carapax -n '{seen}{only}' -a {word} -d '{about}'")
    return "\n".join(lines) + "\n"
