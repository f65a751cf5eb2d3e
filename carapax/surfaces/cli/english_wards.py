"""English words of the incidents, canaries and the stop of everything."""

from __future__ import annotations

WARDS_EN = {
    "help.incident": "what was halted, why, and deciding about it",
    "about.incident": "When something goes beyond the breaker's limits, or a planted secret is used, the session is halted and "
    "waits for you. Looking and exporting work without a gateway; deciding is written to the ledger first.",
    "examples.incident": """examples:
  carapax incident                      all of them, the newest first
  carapax incident show 7               what happened, how, with which processes
  carapax incident export 7 -o case.tar   everything about it, to be checked elsewhere
  carapax incident resume 7             let it go on
  carapax incident kill 7               end it; the session stays closed
  carapax incident keep 7               leave it halted, for whoever looks into it""",
    "help.incident.list": "all of them, the newest first",
    "help.incident.show": "what happened, how, with which processes",
    "help.incident.export": "one file with the evidence and its proofs",
    "help.incident.resume": "let it go on",
    "help.incident.kill": "end what runs; the session stays closed",
    "help.incident.keep": "leave it halted, for whoever looks into it",
    "opt.incident": "the number of the incident",
    "opt.incident_output": "write to this new file (incident-N.tar without)",
    "incident.none": "There was no incident.",
    "incident.session": "Session {session}",
    "incident.everything": "Everything is",
    "incident.state.open": "halted as far as it could be",
    "incident.state.frozen": "frozen",
    "incident.state.resumed": "resumed",
    "incident.state.killed": "killed",
    "incident.state.kept": "kept",
    "incident.how": "how",
    "incident.stopped": "stopped",
    "incident.after": "{ms} ms after the signal; {jobs} running jobs halted",
    "incident.not_all": "after {ms} ms; not everything could be halted",
    "incident.now": "now",
    "incident.look": "look: carapax incident show {number} · resume · kill · keep",
    "incident.rule": "rule",
    "incident.entry": "ledger",
    "incident.problem": "problem",
    "incident.note": "note",
    "incident.decided": "decided",
    "incident.processes": "processes as they were halted (pid, parent, command)",
    "incident.exported": "Written to {name} ({size} bytes). It holds the conversation: keep it as you keep that.",
    "incident.confirm_resume": "Let what incident {number} halted go on?",
    "incident.confirm_kill": "End what incident {number} halted?",
    "incident.confirm_keep": "Keep what incident {number} halted?",
    "incident.done_resume": "Incident {number}: it goes on.",
    "incident.done_kill": "Incident {number}: ended. The session stays closed; a new one is free.",
    "incident.done_keep": "Incident {number}: it stays halted.",
    "help.canary": "planted secrets that nobody uses but a thief",
    "about.canary": "Planted secrets look like real ones and open nothing. One that is used halts its session at once and says "
    "through what. Reading one is counted, no more: you may search your files in peace.",
    "examples.canary": """examples:
  carapax canary                        where they are
  carapax canary add ssh keys/old_key   plant one more in the workspace
  carapax canary add aws --handle s3-old
  carapax canary remove file/.aws-backup.env""",
    "help.canary.list": "where they are, never their values",
    "help.canary.add": "plant one in a file of the workspace, or in the vault",
    "help.canary.remove": "take one away, with what was planted",
    "opt.canary_kind": "what it looks like: aws, database, ssh, token or env",
    "opt.canary_path": "a new file below the workspace",
    "opt.canary_handle": "a new handle in the vault instead of a file",
    "opt.canary_name": "its name, as the list has it",
    "canary.where": "Say where: a new file below the workspace, or --handle NAME for the vault.",
    "canary.added": "Planted: {name}",
    "canary.removed": "Removed: {name}",
    "canary.none": "There are no canaries.",
    "canary.gone": "no longer there",
    "canary.note": "kept for the agent's memory, which there is none of yet",
    "canary.confirm": "Remove the canary {name}, with what was planted?",
    "opt.stop_all": "halt everything at once and keep it halted, also while the gateway hangs",
    "stopall.done": "Everything is stopped: {jobs} running jobs ended, in {ms} ms.",
    "stopall.proxy": "The way out is closed: the egress proxy was ended.",
    "stopall.no_gateway": "No gateway is running. One that starts runs nothing until this is lifted.",
    "stopall.stuck": "The gateway does not answer: what it hangs at is not known. Its jobs are ended; it can start no other.",
    "stopall.turns": "The gateway stopped {turns} turns.",
    "stopall.unrecorded": "It could not be written to the ledger.",
    "stopall.lift": "`carapax resume --all` lifts it.",
    "help.resume": "lift the stop of everything",
    "about.resume": "After `carapax stop --all` nothing runs and nothing leaves until you lift it here.",
    "examples.resume": """examples:
  carapax resume --all""",
    "opt.resume_all": "everything that `carapax stop --all` stopped",
    "resume.which": "Say `carapax resume --all`, or `carapax incident resume N` for one incident.",
    "resume.nothing": "Nothing is stopped here.",
    "resume.confirm": "Let everything go on?",
    "resume.alone": "No gateway is running, so this is not in the ledger.",
    "resume.done": "Everything may go on.",
}
