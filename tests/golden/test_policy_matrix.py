"""The home policy as one reviewable matrix: a change of policy is a change of this table."""

from __future__ import annotations

from pathlib import Path

from carapax.core.policy.decide import decide
from carapax.core.policy.document import parse_policy
from carapax.core.policy.egress import decide_egress
from carapax.core.policy.home import home_policy
from carapax.core.terms.action import Effect
from carapax.core.terms.egress import Hop
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


ONLINE = (
    ("web_fetch", Effect.FETCH),
    ("web_search", Effect.FETCH),
    ("run_online", Effect.CODE),
    ("run_command", Effect.CODE),
)


def render_online() -> str:
    """What each tier answers to the tools that have a way out, and to a command that should have none."""
    text = home_policy(1, DAY).decode()
    lines = ["tier     " + "".join(tool.ljust(13) for tool, _ in ONLINE)]
    for tier in Tier:
        policy = parse_policy(text.replace("trust: assist", f"trust: {tier.value}").encode())
        answers = [
            answer_word(
                decide(
                    policy,
                    question(effect, tool=tool, network=True, place="none" if effect is Effect.FETCH else "workspace"),
                )
            ).ljust(13)
            for tool, effect in ONLINE
        ]
        lines.append(tier.value.ljust(9) + "".join(answers))
    return "\n".join(line.rstrip() for line in lines) + "\n"


HOPS = (
    Hop("pypi.org", 443, "GET", "/simple/x/"),
    Hop("pypi.org", 443, "POST", "/legacy/"),
    Hop("pypi.org", 80, "GET", "/simple/x/"),
    Hop("upload.pypi.org", 443, "POST", "/legacy/"),
    Hop("files.pythonhosted.org", 443, "GET", "/packages/x.whl"),
    Hop("registry.npmjs.org", 443, "GET", "/@scope%2fname"),
    Hop("registry.npmjs.org", 443, "PUT", "/name"),
    Hop("github.com", 443, "GET", "/o/r.git/info/refs?service=git-upload-pack"),
    Hop("github.com", 443, "POST", "/o/r.git/git-upload-pack"),
    Hop("github.com", 443, "POST", "/o/r.git/git-receive-pack"),
    Hop("github.com", 443, "POST", "/o/r/issues"),
    Hop("html.duckduckgo.com", 443, "POST", "/html/"),
    Hop("example.org", 443, "GET", "/"),
    Hop("example.org", 443, "POST", "/"),
    Hop("example.org", 443, "GET", "/", websocket=True),
    Hop("example.org", 443, "CONNECT", ""),
    Hop("192.0.2.1", 443, "GET", "/"),
    Hop("169.254.169.254", 443, "GET", "/latest/meta-data/"),
    Hop("router", 443, "GET", "/"),
)


def render_egress() -> str:
    """Where the home policy lets each tool go."""
    tools = [tool for tool, _ in ONLINE]
    lines = ["request".ljust(72) + "".join(tool.ljust(13) for tool in tools)]
    for hop in HOPS:
        answers = "".join(
            ("allow" if decide_egress(home().egress, tool, hop).allowed else "deny").ljust(13) for tool in tools
        )
        upgrade = " (upgrade)" if hop.websocket else ""
        lines.append(f"{hop.method} {hop.host}:{hop.port}{hop.path}{upgrade}".ljust(72) + answers)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def whole() -> str:
    return "\n".join([render(), render_tiers(), render_online(), render_egress()])


def test_the_home_policy_is_what_was_reviewed() -> None:
    assert whole() == TABLE.read_text("utf-8")


if __name__ == "__main__":
    TABLE.write_text(whole(), "utf-8")
