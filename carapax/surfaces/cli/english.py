"""English: the catalogue that `french` mirrors key by key."""

from __future__ import annotations

ENGLISH = {
    "about": "Carapax: an AI agent that acts, inside a shell that holds.",
    "examples": """examples:
  carapax chat                          talk to it in this terminal
  carapax ask "what is in notes.txt"    one question, one answer
  carapax undo                          take back what the last turn changed
  carapax doctor                        check everything it depends on
  carapax COMMAND --help                more, with examples

Exit codes: 0 done, 1 failed, 2 usage, 3 no gateway, 4 waits for an approval,
5 refused by policy, 6 budget used up, 7 token not accepted, 130 interrupted.""",
    "usage.usage": "usage:",
    "usage.arguments": "arguments",
    "usage.options": "options",
    "usage.command": "COMMAND",
    "usage.commands": "commands",
    "usage.action": "ACTION",
    "usage.actions": "actions",
    "usage.see": "See `{command} --help`.",
    "usage.required": "Missing: {0}",
    "usage.unrecognized": "Not understood: {0}",
    "usage.choice": "{0}: {1} is not one of {2}",
    "usage.value": "{0}: {1} is not a possible value",
    "usage.expected": "{0}: a value is missing",
    "help.chat": "talk to the agent in this terminal",
    "about.chat": "Talk to the agent in this terminal. Starts a gateway when none is running, and ends it when you leave.",
    "examples.chat": """examples:
  carapax chat                 a new session
  carapax chat --continue      go on with the newest session
  carapax chat --keep          leave the gateway running afterwards

In the chat: /help shows what it can do, /undo takes back a turn, Ctrl-C stops
a running turn, Ctrl-D leaves. A trailing backslash continues on the next line.""",
    "help.ask": "one message, one answer",
    "about.ask": "Send one message and print the reply. Steps, cards and notices go to stderr, so a pipe carries the reply alone.",
    "examples.ask": """examples:
  carapax ask "how much disk is free"
  carapax ask "summarise this" --continue
  carapax ask - < question.txt            the message is read from stdin
  carapax ask --json "list my files"      one JSON object at the end
  carapax ask --events "list my files"    every event as it comes, one JSON object a line

Exits with 4 when an approval is needed and nobody can be asked here.""",
    "help.serve": "run the gateway in this terminal",
    "about.serve": "Run the gateway here until Ctrl-C or `carapax stop`. It listens on this machine only, unless you give a certificate.",
    "examples.serve": """examples:
  carapax serve
  carapax serve --sample                  run one sample turn first, step by step
  carapax serve --host 192.0.2.7 --tls-cert cert.pem --tls-key key.pem""",
    "help.doctor": "check everything it depends on",
    "about.doctor": "Check everything Carapax depends on, and say what to do for each failure. Works without a gateway.",
    "examples.doctor": """examples:
  carapax doctor
  carapax doctor --json""",
    "help.sessions": "list, show, search, name, export and delete sessions",
    "about.sessions": "Look after sessions. SESSION is an id, the end of one, or a name.",
    "examples.sessions": """examples:
  carapax sessions
  carapax sessions search invoice
  carapax sessions show 4RT9QX
  carapax sessions name 4RT9QX tax return
  carapax sessions export 4RT9QX > session.ndjson""",
    "help.sessions.list": "newest first",
    "help.sessions.search": "those whose name or text has these words",
    "help.sessions.show": "its turns",
    "help.sessions.name": "give it a name",
    "help.sessions.export": "every part as JSON, one a line",
    "help.sessions.delete": "remove it for good (the ledger keeps what was done)",
    "help.approvals": "see what waits for you, and answer it",
    "about.approvals": "See what waits for you, and answer it. After an answer the rest of the turn is shown.",
    "examples.approvals": """examples:
  carapax approvals                 what waits
  carapax approvals --whole         with every line of every value
  carapax approvals yes K7M2
  carapax approvals no K7M2""",
    "help.undo": "take back what a turn changed in the workspace",
    "about.undo": "Put the workspace back as it was before a turn. A file that changed since is left alone and named.",
    "examples.undo": """examples:
  carapax undo                              the newest turn that changed files
  carapax undo --turn 3 --session 4RT9QX
  carapax undo --session 4RT9QX             the newest of this session""",
    "help.ledger": "show, verify, prove and export the ledger",
    "about.ledger": "Read the record of everything that was done. Works without a gateway.",
    "examples.ledger": """examples:
  carapax ledger show --newest
  carapax ledger verify
  carapax ledger verify --checkpoint kept.txt   against a checkpoint kept elsewhere
  carapax ledger prove 14
  carapax ledger export -o ledger.copy""",
    "help.ledger.show": "entries, in order",
    "help.ledger.verify": "find any edited, removed or reordered entry",
    "help.ledger.prove": "print the proof that an entry is in the ledger",
    "help.ledger.export": "write all of it out",
    "help.policy": "check, explain, sign and reset the policy",
    "about.policy": "Look at the policy that decides what the agent may do.",
    "examples.policy": """examples:
  carapax policy check
  carapax policy explain write '{"path": "hello.py", "text": "x"}'
  carapax policy sign       after you edited the file
  carapax policy reset""",
    "help.policy.check": "is it whole, signed and understood",
    "help.policy.explain": "what it would answer to one call",
    "help.policy.sign": "sign the file as it stands, after you edited it",
    "help.policy.reset": "write the home policy anew and sign it; the old file is kept",
    "help.model": "see and choose the model",
    "about.model": "See which models can be used, or choose one. A key is asked for or read from stdin, never from the arguments.",
    "examples.model": """examples:
  carapax model                               what can be chosen
  carapax model embedded
  carapax model openai
  carapax model openai MODEL --key-stdin < key.txt
  carapax model compatible MODEL --url https://models.example/v1""",
    "help.status": "what the gateway says of itself",
    "about.status": "Version, model, policy, ledger, sessions, and what was used today.",
    "examples.status": """examples:
  carapax status
  carapax status --json""",
    "help.stop": "end the gateway",
    "about.stop": "Ask the gateway to end. Running turns are stopped and shown as interrupted; nothing is lost.",
    "examples.stop": """examples:
  carapax stop""",
    "help.token": "create, list and revoke access tokens",
    "about.token": "Tokens let programs use the gateway. A token is shown once; only its hash is stored.",
    "examples.token": """examples:
  carapax token create editor --scope chat --days 30
  carapax token create phone --scope chat,approve
  carapax token list
  carapax token revoke TOKEN-ID

Scopes: chat (start turns), approve (answer approvals),
read (sessions, status), admin (everything else).""",
    "help.token.create": "make one and print it",
    "help.token.list": "names, scopes and ends",
    "help.token.revoke": "make it worthless at once",
    "help.budget": "see and set the budgets",
    "about.budget": "Hard bounds per turn, session and day. At a bound the turn stops with a sentence; nothing is lost.",
    "examples.budget": """examples:
  carapax budget
  carapax budget day 400000                 tokens
  carapax budget day 2.50 --of usd
  carapax budget turn none --of seconds     no bound of this kind""",
    "help.completion": "print the completion script of a shell",
    "about.completion": "Print the completion script of a shell.",
    "examples.completion": """examples:
  eval "$(carapax completion bash)"         in ~/.bashrc
  eval "$(carapax completion zsh)"          in ~/.zshrc
  carapax completion fish | source          in ~/.config/fish/config.fish""",
    "opt.help": "show this help and exit",
    "opt.lang": "the language of this output (else from LC_ALL or LANG)",
    "opt.version": "print the version and exit",
    "opt.json": "print JSON, for scripts",
    "opt.session": "use this session (id, end of id, or name)",
    "opt.continue": "go on with the newest session",
    "opt.keep": "leave the gateway running when you leave",
    "opt.text": "the message; `-` reads it from stdin",
    "opt.key": "idempotency key: the same key in the same session is the same message",
    "opt.events": "print every event as one line of JSON",
    "opt.verbose": "also show the guard's answer to each step",
    "opt.host": "the address to listen on (127.0.0.1)",
    "opt.port": "the port to listen on (18790)",
    "opt.tls_cert": "certificate chain, PEM; needed for any address but this machine",
    "opt.tls_key": "private key of the certificate, PEM",
    "opt.sample": "first run one sample turn and print each step",
    "opt.limit": "how many at most",
    "opt.which_session": "id, end of id, or name",
    "opt.search_words": "words to look for",
    "opt.name_words": "the name",
    "opt.yes": "do not ask",
    "opt.approvals_action": "list (the default), yes or no",
    "opt.approval": "the short code on the card",
    "opt.all": "also those answered or expired",
    "opt.whole": "every line of every value",
    "opt.turn": "the turn's number in its session",
    "opt.first": "start at this entry",
    "opt.newest": "the newest ones",
    "opt.checkpoint": "a checkpoint kept elsewhere: also find a rewritten history",
    "opt.entry": "the number behind the # of a step",
    "opt.output": "write to this new file instead of stdout",
    "opt.tool": "name of the tool",
    "opt.arguments": "its arguments as a JSON object",
    "opt.model_name": "name of the provider",
    "opt.model": "name of the model (else the provider's default)",
    "opt.url": "address, for an OpenAI-compatible server",
    "opt.key_stdin": "read the access key from stdin",
    "opt.choose": "ask once, unless one was chosen before or CARAPAX_MODEL names it",
    "opt.provider": "print the name of the provider in use",
    "opt.token_name": "what it is for",
    "opt.scope": "chat, approve, read, admin; several with commas (chat)",
    "opt.days": "how long it lives (30)",
    "opt.token_id": "id from `carapax token list`",
    "opt.span": "turn, session or day",
    "opt.amount": "the new bound, or none",
    "opt.of": "what is bounded (tokens)",
    "opt.shell": "bash, zsh or fish",
    "who.you": "you",
    "who.it": "it",
    "banner.first": " · first start",
    "banner.code": " · one-time code  {code}",
    "card.waits": "waits",
    "card.expires": "expires in {left}",
    "card.taint": "This session has read untrusted text: {taint}",
    "card.rule": "rule {rule} · {id}",
    "card.digest": "digest",
    "card.more": "… {count} more lines; [d] shows them",
    "ask.keys": "[y] yes   [n] no   [d] show all of it",
    "ask.empty": "There is nothing to send: the message is empty.",
    "answered.expired": "Nobody answered in time; it was not done.",
    "answered.denied": "You said no; it was not done.",
    "step.no": "no",
    "step.refused": "refused",
    "step.rule": "rule",
    "step.judged": "guard: {answer} · rule {rule} · #{entry}",
    "step.sandbox": "sandbox, {pace}",
    "outcome.failed": "failed",
    "outcome.stopped": "stopped by a limit",
    "outcome.unknown": "outcome unknown; it is not repeated",
    "turn.interrupted": "Interrupted. What was done is recorded; your message is kept.",
    "turn.broke_off": "The gateway ended while it worked. Your message is kept.",
    "turn.broke_off_next": "Start it again (`carapax chat --continue`); the turn is shown as interrupted, and no step is repeated by itself.",
    "stop.asked": "Stopping the turn. Ctrl-C again leaves it.",
    "stop.failed": "The gateway did not take the stop; see `carapax status`.",
    "waiting.how": "The turn waits for your answer. Nothing happens until then. Answer with:",
    "approvals.none": "Nothing waits for you.",
    "approvals.which": "Say which one: `carapax approvals yes ID`. List them with `carapax approvals`.",
    "undo.done": "turn {number} taken back",
    "undo.created": "{path}: back again",
    "undo.modified": "{path}: as it was before",
    "undo.deleted": "{path}: removed (that turn had made it)",
    "undo.conflict": "{path}: left alone, it changed since",
    "undo.lost": "{path}: cannot be put back, its old content was too large to keep",
    "sessions.none": "There is no session.",
    "sessions.turns": "{count} turns",
    "sessions.delete": "Delete session {id} with all its turns?",
    "confirm.keys": "y/N",
    "confirm.not_done": "Not done: nobody said yes. Use --yes in a script.",
    "ledger.verified": "{entries} entries, root {root}…, verified in {seconds} s",
    "ledger.extends": "It extends the checkpoint you kept: the history was not rewritten.",
    "ledger.empty": "The ledger is empty.",
    "policy.sign": "Sign the policy file as it stands? From then on it decides.",
    "policy.reset": "Replace the policy by the home template, signed anew? The old file is kept beside it.",
    "policy.written": "Written and signed: {path}",
    "model.how": "Choose with `carapax model PROVIDER`.",
    "model.key": "needs an access key",
    "model.question": "Which model should Carapax use? Enter takes the first: it runs on this machine and needs no account.",
    "model.number": "number",
    "model.url": "address (https://…/v1)",
    "model.key_prompt": "access key (not shown, kept in the vault):",
    "model.needs_url": "This one needs an address: --url https://…/v1",
    "saved.live": "Saved. It is used from the next turn.",
    "saved.restart": "Saved. A running gateway uses it after `carapax stop` and a new start.",
    "budget.amount": "An amount is a number (400000, or 2.50 with --of usd) or none.",
    "budget.none": "no bound",
    "budget.tokens": "{amount} tokens",
    "budget.usd": "{amount} USD",
    "budget.calls": "{amount} tool calls",
    "budget.seconds": "{amount} s",
    "stopped": "The gateway has ended.",
    "serve.both": "--tls-cert and --tls-key go together.",
    "serve.how": "Talk to it with `carapax chat` in another terminal; Ctrl-C ends it.",
    "sample.message": "create hello.py that prints hello, run it, then show me what is in it",
    "token.once": "This is the only time it is shown. Scopes: {scopes}. It ends in {days} days.",
    "token.gone": "Revoked: {id}",
    "token.revoked": "revoked",
    "token.none": "There are no tokens.",
    "token.expired": "expired",
    "token.days": "{days} days left",
    "chat.hint": "You can talk to it here. /help shows what it can do; /undo takes back a turn; Ctrl-D leaves.",
    "chat.help": """Say what you want in plain words: "what is in notes.txt", "create hello.py that prints hello and run it".
  /undo [N]          take back what the last turn (or turn N) changed
  /changes           what was changed just now
  /approvals         what waits for you
  /sessions [WORDS]  list sessions        /session ID   go to one      /new   begin one
  /name WORDS        name this session
  /model             see and choose the model
  /status            what the gateway says of itself
  /help              this            /quit   leave (so does Ctrl-D)
Ctrl-C stops a running turn. A trailing backslash continues on the next line.
""",
    "chat.unknown": "There is no /{word}. /help shows what there is.",
    "chat.once_more": "Ctrl-C again or Ctrl-D leaves.",
    "chat.changes": "what did you just change?",
    "chat.no_session": "This session begins with your first message.",
    "chat.switched": "Now in session {id}.",
    "chat.new": "A new session begins with your next message.",
    "chat.name": "After the first message: /name WORDS",
    "chat.named": "This session is now called {name}.",
    "chat.kept_waiting": "The gateway was left running because an approval waits. End it with `carapax stop`.",
    "error.system": "The system said: {what} {name}",
    "error.system_next": "Nothing else was changed. Correct it and try again, or run `carapax doctor`.",
    "error.defect": "This is a defect in Carapax: {what}",
    "error.defect_next": "What was done before is kept. Run it again with CARAPAX_DEBUG=1 to see where, and report it.",
    "error.absent": "No gateway is running.",
    "error.absent_next": "Start it with `carapax serve` or just `carapax chat`.",
    "error.unchanged": "Nothing was changed.",
    "error.unsent": "Nothing was sent.",
    "error.doctor": "Run `carapax doctor`.",
    "error.correct": "Correct the input and send it again.",
    "error.broke_off": "The gateway's answer broke off.",
    "error.list": "List what exists (`carapax sessions`, `carapax approvals`).",
    "error.list_sessions": "List them with `carapax sessions`.",
}
