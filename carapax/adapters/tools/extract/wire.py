"""The extract tool's words: what is asked of the file program, what is wanted, and the answer in words of ours.

Layer: adapters/tools/extract. Pure.
Law: no sentence here holds anything that a file or a model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping

from carapax.adapters.tools.words import one_line, text_of
from carapax.core.flow.scalar import Scalar, Wanted, wanted_of
from carapax.core.terms.action import CanonicalCall
from carapax.core.terms.plain import canonical_json

LINES = 100_000  # the file program's own ceiling on characters comes first

UNREADABLE = "That file cannot be read. Look at the folder with list_files."
NO_ANSWER = "The file does not tell."
FAILED = "The model gave no answer that could be used. Try again, or ask in another way."


def render_input(call: CanonicalCall) -> bytes:
    """What the file program reads: the judged path and the first line."""
    offset = call.value("offset")
    return canonical_json({"path": str(call.value("path")), "limit": LINES, **({"offset": offset} if offset else {})})


def wanted_by(call: CanonicalCall) -> Wanted:
    """What the call wants. Raises Refused."""
    lines = tuple(line.strip() for line in str(call.value("choices") or "").split("\n") if line.strip())
    return wanted_of(str(call.value("kind")), lines, _number(call, "low"), _number(call, "high"))


def render_answer(scalar: Scalar) -> str:
    """The answer; it says when only a part of the file was read."""
    found = scalar.render()
    text = f"Answer: {found}" if found else NO_ANSWER
    return f"{text} (Only a part of the file was read.)" if scalar.cut else text


def _number(call: CanonicalCall, name: str) -> int | None:
    value = call.value(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def destroys(tool: str, arguments: Mapping[str, object]) -> int:
    """Always 0: nothing here changes a file."""
    return 0


def summary(tool: str, arguments: Mapping[str, object]) -> str:
    """A call in at most 80 visible characters: "find in bill.txt: How much?"."""
    return one_line(f"find in {text_of(arguments, 'path')}: {text_of(arguments, 'question')}")
