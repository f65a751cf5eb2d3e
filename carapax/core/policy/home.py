"""The home policy: the template that a first start writes and signs, so that nobody needs to know about keys.

Layer: core/policy. It says: reading the workspace is free; changes inside it are free because they can be undone;
deleting many files is asked; leaving the workspace and the network are refused; hidden characters are asked.
"""

from __future__ import annotations

import datetime

from carapax.core.policy.document import FORMAT

DAYS = 730
"""A home policy is valid for two years; `carapax policy reset` writes a fresh one."""

RULES = """
@id("workspace.read")
@reason("Reading the workspace is free.")
permit (principal == Role::"owner", action == Action::"read", resource)
when { context.place != "outside" && !context.network };

@id("workspace.write")
@reason("Changes inside the workspace are free: they can be undone.")
@obligation("keep_versions")
permit (principal == Role::"owner", action in [Action::"self_add", Action::"self_modify"], resource)
when { context.place == "workspace" && context.reversible && !context.network };

@id("workspace.delete")
@reason("Deleting a few files is free: it can be undone.")
@obligation("keep_versions")
permit (principal == Role::"owner", action == Action::"destroy", resource)
when { context.place == "workspace" && context.reversible && !context.network && context.destroys <= 5 };

@id("workspace.delete-many")
@reason("This deletes more than 5 files at once.")
@obligation("keep_versions")
permit (principal == Role::"owner", action == Action::"destroy", resource)
when { context.place == "workspace" && context.reversible && !context.network && context.destroys > 5 && context.approved };

@id("shell.sandboxed")
@reason("Commands run in the sandbox, without a network; what they change can be undone.")
@obligation("keep_versions")
permit (principal == Role::"owner", action == Action::"code", resource)
when { context.place == "workspace" && context.reversible && !context.network };

@id("hidden-text")
@reason("It contains characters that do not show.")
forbid (principal, action, resource)
when { context.hidden_text && action != Action::"read" && !context.approved };

@id("workspace.outside")
@reason("It is outside the workspace.")
forbid (principal, action, resource)
when { context.place == "outside" };

@id("network.none")
@reason("Nothing is sent to the network in this release.")
forbid (
  principal,
  action in [Action::"fetch", Action::"communicate", Action::"publish", Action::"access", Action::"money", Action::"credential"],
  resource
);
"""

_HEAD = """# What your agent may do. It counts only with the signature beside it (home.toml.sig):
# after a change, `carapax policy check` says what is wrong and `carapax policy sign` signs it again.
format = "{format}"
name = "home"
serial = {serial}
issued = {issued}
expires = {expires}
approval_minutes = 15

rules = '''{rules}'''

[budgets.turn]
tokens = 400_000
usd_micro = 2_000_000
tool_calls = 40
wall_ms = 900_000

[budgets.session]
tokens = 4_000_000
usd_micro = 10_000_000
tool_calls = 2_000

[budgets.day]
tokens = 8_000_000
usd_micro = 20_000_000
tool_calls = 5_000
"""


def home_policy(serial: int, issued: datetime.date) -> bytes:
    """The home policy's document for this day."""
    expires = issued + datetime.timedelta(days=DAYS)
    return _HEAD.format(format=FORMAT, serial=serial, issued=issued, expires=expires, rules=RULES).encode()
