"""The Cedar schema: everything a rule may look at, and nothing else.

Layer: core/policy. Rules judge derived facts, because Cedar has no string functions; the guard derives them.
Law: requests and rules are both checked against this schema. Without it Cedar skips a `forbid` that errors,
and a skipped `forbid` is an open door.
Source: Cedar policy language 4, schema syntax.
"""

from __future__ import annotations

from carapax.core.terms.action import Effect

_CONTEXT = """{
  tool: String,
  place: String,
  network: Bool,
  hidden_text: Bool,
  reversible: Bool,
  destroys: Long,
  channel: String,
  recipients: String,
  amount_cents: Long,
  intended: Bool,
  tier: String,
  integrity: Long,
  tainted: Bool,
  private: Bool,
  owner_named: Bool,
  approved: Bool,
}"""

_ACTIONS = ", ".join(f'"{effect.value}"' for effect in Effect)

SCHEMA = f"""
entity Role;
entity Tool;
action {_ACTIONS} appliesTo {{ principal: [Role], resource: [Tool], context: {_CONTEXT} }};
"""
