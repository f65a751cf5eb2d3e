"""Rules for what secrets look like, on RE2, whose time is linear whatever the text.

Layer: adapters/scan/outgoing. Owns reading the rule file and applying it; the file's fields are gitleaks'.
Absent: allow lists by path or commit; what leaves has neither. re2 is imported with the first scan, not with the module.
Source: the issuers' documented token formats.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from carapax.core.terms.error import PolicyInvalid

MAX_HITS = 50
"""Matches of one rule that are looked at in one text."""

_STAND_INS = (
    *("example", "changeme", "change_me", "placeholder", "your_", "your-", "yourkey", "xxxx", "****", "....", "dummy"),
    *("redacted", "insert", "sample", "1234567890ab", "abcdefgh", "os.environ", "getenv", "process.env", "secrets."),
)

_DIGITS = re.compile(r"\d+")
_CHOSEN_CHARS = 14  # of a password that a person chose, at most


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret. `exact` formats are also looked for backwards and squeezed."""

    id: str
    pattern: Any
    keywords: tuple[str, ...]
    entropy: float
    group: int
    exact: bool
    words: bool  # the value is free text: stand-ins and names of variables are no secrets
    mixed: bool  # the value must mix kinds of characters


def compile_pattern(pattern: str) -> Any:
    """An RE2 expression. Raises PolicyInvalid where RE2 does not take it."""
    import re2  # type: ignore[import-untyped]  # 12 ms: with the first use

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise PolicyInvalid(f"the pattern {pattern[:80]!r} is not an RE2 expression: {error}") from error


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a file of gitleaks' shape. Rules without an expression (by path only) are left out."""
    return tuple(
        Rule(
            id=str(each["id"]),
            pattern=compile_pattern(each["regex"]),
            keywords=tuple(str(word).lower() for word in each.get("keywords", ())),
            entropy=float(each.get("entropy", 0)),
            group=int(each.get("secretGroup", 0)),
            exact=bool(each.get("exact", False)),
            words=bool(each.get("words", False)),
            mixed=bool(each.get("mixed", False)),
        )
        for each in tomllib.loads(text)["rules"]
        if each.get("regex")
    )


@cache
def own_rules() -> tuple[Rule, ...]:
    """The rules that come with Carapax."""
    return parse_rules(resources.files(__package__).joinpath("rules.toml").read_text("utf-8"))


def find_secrets(text: str, rules: tuple[Rule, ...], exact_only: bool = False) -> Iterator[tuple[str, str]]:
    """Each rule's id with what it found, once a rule."""
    lowered = text.lower()
    for rule in rules:
        if exact_only and not rule.exact:
            continue
        if rule.keywords and not any(word in lowered for word in rule.keywords):
            continue
        for count, found in enumerate(rule.pattern.finditer(text)):
            if count >= MAX_HITS:
                break
            value = found.group(rule.group) or found.group()
            if _counts(rule, value):
                yield rule.id, value
                break


def _counts(rule: Rule, value: str) -> bool:
    if rule.entropy and entropy(value) < rule.entropy:
        return False
    if rule.words and _stands_in(value):
        return False
    return not rule.mixed or _is_mixed(value)


def entropy(value: str) -> float:
    """Bits a character, from the value's own frequencies."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values()) if value else 0.0


def _stands_in(value: str) -> bool:
    lowered = value.lower()
    if any(word in lowered for word in _STAND_INS) or value[0] in "$<{%[(" or value.endswith(("(", "()", ")")):
        return True
    return len(set(value)) <= 3


def _is_mixed(value: str) -> bool:
    # Words, paths, versions and calls have letters with few digits; what a generator made has both.
    if value.count(".") > 1 or "://" in value or value.count("/") > 2 or not any(c.isalpha() for c in value):
        return False
    digits = _DIGITS.findall(value)
    odd = any(not c.isalnum() and c not in "._-/=:" for c in value)
    upper, lower = any(c.isupper() for c in value), any(c.islower() for c in value)
    short = len(value) <= _CHOSEN_CHARS and upper and lower
    return len(digits) >= 2 or (bool(digits) and (odd or short))
