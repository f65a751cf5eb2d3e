"""The home policy as one reviewable matrix: a change of policy is a change of this table."""

from __future__ import annotations

from pathlib import Path

from carapax.core.policy.decide import decide
from carapax.core.policy.document import parse_policy
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import Effect
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label
from carapax.core.terms.principal import Role
from carapax.core.terms.tables import Tier
from carapax.guard.record import answer_word
from tests.unit.core.questions import DAY, home, question

TABLE = Path(__file__).with_name("policy_matrix.txt")

COLUMNS: dict[str, dict[str, object]] = {
    "inside": {},
    "none": {"place": "none"},
    "outside": {"place": "outside"},
    "network": {"network": True},
    "hidden": {"hidden": True},
    "for ever": {"reversible": False},
    "6 files": {"destroys": 6},
    "guest": {"role": Role.GUEST},
    "auditor": {"role": Role.AUDITOR},
    "tainted": {"context": Label(Integrity.EXTERNAL, OWNER_ONLY)},
    "to known": {"recipients": "known"},
    "to other": {"recipients": "other"},
    "unasked": {"intended": False},
}


def render() -> str:
    policy = home()
    lines = ["effect".ljust(13) + "".join(name.ljust(10) for name in COLUMNS)]
    for effect in Effect:
        answers = [answer_word(decide(policy, question(effect, **how))) for how in COLUMNS.values()]  # type: ignore[arg-type]
        lines.append(effect.value.ljust(13) + "".join(answer.ljust(10) for answer in answers))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_tiers() -> str:
    """What each tier answers to each effect, of no file and of 6 files."""
    text = home_policy(1, DAY).decode()
    grants = "grants: [workspace.delete-many]"
    lines = ["tier     " + "".join(effect.value.ljust(13) for effect in Effect)]
    for tier in Tier:
        found = text.replace("trust: assist", f"trust: {tier.value}").replace("grants: []", grants)
        policy = parse_policy(found.encode())
        answers = [
            "/".join(answer_word(decide(policy, question(effect, destroys=n))) for n in (0, 6)).ljust(13)
            for effect in Effect
        ]
        lines.append(tier.value.ljust(9) + "".join(answers))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def test_the_home_policy_is_what_was_reviewed() -> None:
    assert render() + "\n" + render_tiers() == TABLE.read_text("utf-8")


if __name__ == "__main__":
    TABLE.write_text(render() + "\n" + render_tiers(), "utf-8")
