"""The home policy: the template that a first start writes and signs, so that nobody needs to know about keys.

Layer: core/policy. It says: reading the workspace is free; changes inside it are free because they can be undone;
deleting many files is asked; leaving the workspace is refused; hidden characters are asked. Through the network, public
pages, package registries and repositories may be read; a message to somebody is asked; nothing else is sent.
"""

from __future__ import annotations

import datetime

from carapax.core.policy.document import FORMAT
from carapax.core.terms.limit import Budget, Budgets

DAYS = 730
"""A home policy is valid for two years; `carapax policy init --force` writes a fresh one."""

REVIEW_DAYS = 180
"""After half a year `carapax doctor` says that somebody should read it again."""

BUDGETS = Budgets(
    Budget(tokens=400_000, usd_micro=2_000_000, tool_calls=40, wall_ms=900_000),
    Budget(tokens=4_000_000, usd_micro=10_000_000, tool_calls=2_000),
    Budget(tokens=8_000_000, usd_micro=20_000_000, tool_calls=5_000),
)

_TEMPLATE = """\
# What your agent may do. It counts only with the signatures beside it (home.yaml.sig).
# After a change: raise `serial`, look at it with `carapax policy diff`, then `carapax policy sign`.
# Every key is explained in docs/formats/policy.md. What stands nowhere is refused.
format: {format}
name: home
purpose: An assistant for one person, working in one folder of this machine.
use_cases: [reading and writing files, running commands in the sandbox, reading public pages]
serial: {serial}
issued: {issued}
expires: {expires}
review: {review}            # the day to read this again; `carapax doctor` reminds you

# Who may sign. This machine's key always may; others are `name: public key`.
signers: {{}}
widening_needs: 1           # signatures for a change that allows more: 1 or 2

# How far it is trusted: observe (reads, proposes), draft (prepares), assist (acts, with approvals),
# act (also uses the grants without asking). `carapax trust` shows the record that a step rests on.
trust: assist
grants: []                  # capabilities that ask, and no longer do under `act`

# People and places.
owner: []                   # your own addresses
organisation: []            # the mail domains of your organisation
roles: {{owner: owner}}
directory: {{}}               # people you vouch for, as `Anna Example: [anna@example.org]`

# Kinds of data that need care in what is sent: how they are recognised, what may leave (allow, ask, deny).
data:
  payment-card: {{builtin: [card], leaves: ask}}
  bank-account: {{builtin: [iban], leaves: ask}}
  national-id: {{builtin: [national_id], leaves: ask}}

# Which models may be shown which kinds: a pattern over provider:model, and `all` or a list.
models:
  "*": all

# What it may do. A line says allow, ask, deny, or ask-always (a yes is needed even where another line allows).
capabilities:
  workspace.read:
    effects: [read]
    only: local
    answer: allow
    because: Reading the workspace is free.
  workspace.write:
    effects: [self_add, self_modify]
    only: workspace
    undoable: true
    answer: allow
    because: "Changes inside the workspace are free: they can be undone."
  workspace.delete:
    effects: [destroy]
    only: workspace
    undoable: true
    at_most_files: 5
    answer: allow
    because: "Deleting a few files is free: it can be undone."
  workspace.delete-many:
    effects: [destroy]
    only: workspace
    undoable: true
    answer: ask
    because: This deletes more than 5 files at once.
  shell.sandboxed:
    effects: [code]
    only: workspace
    undoable: true
    answer: allow
    because: Commands run in the sandbox, without a network; what they change can be undone.
  hidden-text:
    effects: [changing]
    hidden_text: true
    answer: ask-always
    because: It contains characters that do not show.
  workspace.outside:
    effects: [all]
    only: outside
    answer: deny
    because: It is outside the workspace.
  shell.online:
    effects: [code]
    tools: [run_online]
    undoable: true
    answer: allow
    because: Such a command reaches only what `egress` lists; what it changes can be undone.
  web.read:
    effects: [fetch]
    tools: [web_fetch, web_search]
    answer: allow
    because: Reading public pages is free; what they say counts as said by strangers.
  network.none:
    effects: [publish, access, money, credential]
    answer: deny
    because: Nothing is published, shared or paid through the network in this release.
  messages.send:
    effects: [communicate]
    tools: [send_message]
    recipients: named
    answer: ask
    because: It writes to somebody in your name.
  group.talk:
    effects: [read]
    tools: [show_time, ask_user]
    channels: [group]
    roles: [owner, approver, operator, member, guest]
    answer: allow
    because: In a group it talks; what it can reach stays out of it.

# Where the tools that have a way out may go. What stands nowhere is refused; `carapax egress log` shows what was,
# `carapax egress allow` proposes lines for it. Without `tools`, a line is about commands (run_online).
egress:
  packages:
    hosts: [pypi.org, files.pythonhosted.org, registry.npmjs.org]
    methods: [GET, HEAD]
    answer: allow
    because: Package registries may be read; nothing is published.
  repositories:
    hosts: [github.com, gitlab.com, codeberg.org]
    methods: [GET, POST]
    paths: ["/**/info/refs", "/**/git-upload-pack"]
    answer: allow
    because: Repositories may be cloned; nothing is pushed.
  pages:
    hosts: ["*"]
    methods: [GET, HEAD]
    tools: [web_fetch]
    answer: allow
    because: Public pages may be read.
  search:
    hosts: [html.duckduckgo.com]
    methods: [GET, POST]
    tools: [web_search]
    answer: allow
    because: The search engine may be asked.
egress_limits: {{requests: 500, hosts: 20, megabytes_up: 10, megabytes_down: 1000}}   # of one run

# Who can read what a tool sends, as `tool: [public]`, [org], [owner] or names.
sinks: {{}}

# Hard bounds, whatever the lines above say. Money goes without asking only below these amounts.
caps:
  currency: EUR
  payment_each: 0
  payment_day: 0
  messages_per_minute: 10
  files_per_minute: 200
  actions_per_task: 40

# Who answers when it asks, within how many minutes; for which effects two people or a one-time code are needed.
approvals:
  roles: [owner]
  minutes: 15
  four_eyes: []
  second_factor: []

# Who may write to it from messengers, by channel. strangers: pair (they get a one-time code that you accept) or silent;
# groups: mention (it answers those it knows when they mention it) or off. In a group only lines that list it count.
channels:
  default: {{strangers: pair, groups: mention}}

# Over these figures the whole session is halted until a person has looked (`carapax incident`). {{}} is the usual ones.
breaker: {{}}

# Whose code gets a stronger wall than it has anyway, as `agent: 2`. {{}} is the built-in tiers; none can be lowered.
walls: {{}}

# How much it may use. usd_micro is in millionths of a dollar; `carapax budget` changes these lines.
budgets:
{budgets}"""


def home_policy(serial: int, issued: datetime.date, budgets: Budgets = BUDGETS) -> bytes:
    """The home policy's document for this day."""
    return _TEMPLATE.format(
        format=FORMAT,
        serial=serial,
        issued=issued,
        expires=issued + datetime.timedelta(days=DAYS),
        review=issued + datetime.timedelta(days=REVIEW_DAYS),
        budgets=budget_lines(budgets),
    ).encode()


def budget_lines(budgets: Budgets) -> str:
    """The lines below `budgets:`."""
    return "".join(_span_lines(span, getattr(budgets, span)) for span in ("turn", "session", "day"))


def _span_lines(span: str, budget: Budget) -> str:
    bounds = {kind: getattr(budget, kind) for kind in ("tokens", "usd_micro", "tool_calls", "wall_ms")}
    lines = [f"    {kind}: {value:_}\n" for kind, value in bounds.items() if value is not None]
    return f"  {span}:\n{''.join(lines)}" if lines else f"  {span}: {{}}\n"
