"""English words of the way out."""

from __future__ import annotations

EGRESS_EN = {
    "help.egress": "what left, what was refused and why, and allowing a host",
    "about.egress": "The way out of commands and tools, request by request. The policy's section `egress` says where they may go; "
    "what stands nowhere is refused. Works without a gateway.",
    "examples.egress": """examples:
  carapax egress log --refused
  carapax egress why https://pypi.org/project/
  carapax egress why https://api.example/v1 --method POST
  carapax egress allow                   lines for what was refused, nothing is changed
  carapax egress allow --review          the same, and asks for each
  carapax egress allow api.example""",
    "help.egress.log": "what left and what was refused, the newest last",
    "help.egress.why": "which line answers a request, and what would allow it",
    "help.egress.allow": "lines for hosts that were refused; each is written after your yes",
    "opt.egress_session": "only this session (the end of its id is enough)",
    "opt.egress_url": "the address, like https://pypi.org/project/",
    "opt.refused": "only what was refused",
    "opt.egress_tool": "the tool that asks (run_online)",
    "opt.method": "the method (GET)",
    "opt.hosts": "these hosts, like api.example or api.example:8443",
    "opt.review": "go through everything that was refused and ask for each",
    "opt.refused_days": "how many days to look back (7)",
    "egress.nothing": "Nothing of that kind.",
    "egress.tool": "tool",
    "egress.tool_asks": "{tool} asks a person each time: the line {rule} says so.",
    "egress.tool_denied": "{tool} may not run at all: {rule}. A line under egress alone changes nothing.",
    "egress.would": "This line under `egress` would allow it (`carapax egress allow HOST` writes one):",
    "egress.none_refused": "Nothing was refused in the last {days} days that a line could allow.",
    "egress.refused": "refused {count} times, last {last}",
    "egress.never": "not asked for yet",
    "egress.confirm": "Allow {host} so?",
    "egress.how": "Nothing was changed. `carapax egress allow --review` asks for each of them.",
    "egress.ask_here": "Nothing was changed: nobody can be asked here. Run it in a terminal.",
    "egress.allowed": "{count} lines more under egress. The policy now has serial {serial}.",
}
