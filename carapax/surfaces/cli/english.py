"""English: the catalogue that `french` mirrors key by key."""

from __future__ import annotations

from carapax.surfaces.cli.english_channels import CHANNELS_EN
from carapax.surfaces.cli.english_egress import EGRESS_EN
from carapax.surfaces.cli.english_vault import VAULT_EN
from carapax.surfaces.cli.english_wards import WARDS_EN

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
  carapax doctor --walls                  every attempt to get out, in every tier
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
  carapax approve K7M2
  carapax deny K7M2""",
    "help.approve": "say yes to one of them",
    "about.approve": "Say yes to exactly one card. What you never named has to be typed, lines have to be picked; a yes alone is refused there.",
    "examples.approve": """examples:
  carapax approve K7M2
  carapax approve K7M2 --type "DE89 3704 0044 0532 0130 00"
  carapax approve K7M2 --pick 1,3-4
  carapax approve K7M2 --code 123456

In a terminal, what is missing is asked for. Exits with 4 when others have to agree too.""",
    "help.deny": "say no to one of them",
    "about.deny": "Say no to one card; it is not done. The rest of the turn is shown.",
    "examples.deny": """examples:
  carapax deny K7M2""",
    "help.factor": "one-time codes for what the policy asks a second factor for",
    "about.factor": "Codes from an app on your own device. The secret stays on this machine and in your app; nobody sees it again.",
    "examples.factor": """examples:
  carapax factor set                shows the secret once, asks for one code
  carapax factor status
  carapax factor remove""",
    "help.factor.set": "set up a new secret",
    "help.factor.remove": "forget the secret",
    "help.factor.status": "is one set up, are codes looked at",
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
    "help.policy": "write, check, explain, compare, sign, test and replay the policy",
    "about.policy": "Look at the policy that decides what the agent may do, and change it. Nothing is carried out by looking.",
    "examples.policy": """examples:
  carapax policy check                                      is it signed and understood
  carapax policy explain read_file path=notes.txt
  carapax policy explain communicate to=anna@example.org --tainted
  carapax policy diff                                       after you edited the file
  carapax policy sign
  carapax policy test cases.yaml
  carapax policy simulate --policy stricter.yaml --days 30""",
    "help.policy.init": "write the home policy and sign it",
    "help.policy.check": "is it whole, signed and understood",
    "help.policy.explain": "what it would answer to one call, why, and what would change it",
    "help.policy.diff": "which answers an edited file would change",
    "help.policy.sign": "sign the file as it stands, after you edited it",
    "help.policy.test": "run a file of calls with the answers you expect",
    "help.policy.matrix": "every answer: who, what, in which situation",
    "help.policy.simulate": "what it would have answered to the calls in the ledger",
    "help.redteam": "replay hijacked models against the policy",
    "about.redteam": "What could a model in an attacker's hands do here? No model runs and nothing is carried out.",
    "examples.redteam": """examples:
  carapax redteam replay                      the probes that come with Carapax, against the policy in force
  carapax redteam replay --open               only the rules of information flow decide
  carapax redteam replay my-set --policy stricter.yaml""",
    "help.redteam.replay": "play a set of tasks and attacks; fails when an attack comes through",
    "opt.set": "folder with tools.toml, tasks.jsonl, directory.toml (docs/replay.md); leave out for the shipped probes",
    "opt.open_policy": "a policy that allows the owner everything, so that the rules of information flow decide alone",
    "redteam.head": "{set}, policy {policy}",
    "redteam.unasked": "tasks done unasked",
    "redteam.asks": "questions per task",
    "redteam.one_ask": "tasks done with at most one",
    "redteam.approved": "tasks done with approvals",
    "redteam.bare": "attacks through without a guard",
    "redteam.through.none": "attacks through, nobody there",
    "redteam.through.attentive": "… somebody attentive",
    "redteam.through.stamp": "… somebody who clicks yes",
    "redteam.through.retype": "… and types only own values",
    "redteam.through.copy": "… and types what the card shows",
    "redteam.not_reached": "injections never read",
    "redteam.words_only": "attacks on words alone",
    "redteam.crashed": "runs that broke",
    "redteam.honest": "Asked about or refused in honest runs:",
    "redteam.attacks": "What happened in hijacked runs:",
    "help.trust": "see how far the agent is trusted, and change it",
    "about.trust": "How far the agent is trusted, the record this rests on, and what the next step would change. Only you can change it, here.",
    "examples.trust": """examples:
  carapax trust
  carapax trust draft        it prepares and never sends
  carapax trust act --yes    it uses the grants of the policy without asking""",
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
  carapax stop
  carapax stop --all                    halt everything at once, even when it hangs""",
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
    "opt.walls": "try every way out of every tier, one line each",
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
    "opt.typed": "a value that the card asks for; once for each, in order",
    "opt.pick": "the lines that you mean: 1,3-4",
    "opt.code": "the one-time code",
    "opt.approval": "the short code on the card",
    "opt.all": "also those answered or expired",
    "opt.whole": "every line of every value",
    "opt.turn": "the turn's number in its session",
    "opt.first": "start at this entry",
    "opt.newest": "the newest ones",
    "opt.checkpoint": "a checkpoint kept elsewhere: also find a rewritten history",
    "opt.entry": "the number behind the # of a step",
    "opt.output": "write to this new file instead of stdout",
    "opt.call": "a tool, or an effect such as communicate",
    "opt.arguments": "its arguments, or one JSON object",
    "opt.tainted": "the session has read untrusted text",
    "opt.effect": "the effect of a tool that is not installed here",
    "opt.role": "who asks (owner)",
    "opt.channel": "the channel the message came through (cli)",
    "opt.said": "what the owner wrote, so that what it names and asks for counts",
    "opt.force": "over the policy that is there; the old file is kept beside it",
    "opt.key_file": "the private key of a listed signer (PEM or seed), instead of this machine's",
    "opt.cases": "a YAML file of cases",
    "opt.policy_file": "another policy file than the one in force",
    "opt.ledger": "another ledger folder than this home's",
    "opt.past_days": "how many days back (30)",
    "opt.tier": "observe, draft, assist or act",
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
    "card.rule": "rule",
    "card.calls": "{count} calls; one answer decides them all",
    "card.look_twice": "Look twice: {why}",
    "card.type_it": "not named by you: type it to continue",
    "card.says": "{source} says:",
    "card.model_says": "the model wrote:",
    "card.choices_of": "Pick what is meant from {source}:",
    "card.choices": "Pick what is meant:",
    "card.hidden": "Hidden text was found ({count}); this is what it says:",
    "card.hint": "A detector marks this (a hint, no more): {hint}",
    "card.factor": "A second factor is asked: the code of your app. None yet: carapax factor set",
    "card.agreed": "{agreed} of {people} people agreed: waits for another person.",
    "card.people": "{people} different people have to agree.",
    "card.exact": "exactly",
    "card.digest": "digest",
    "card.more": "… {count} more characters: [d]",
    "ask.keys": "[y] yes   [n] no   [d] show the exact message",
    "ask.keys_no": "A yes is not enough here.   [n] no   [d] show the exact message",
    "ask.pick": "which lines? 1,3-4; Enter takes none",
    "ask.pick_again": "Lines 1 to {count}, each once.",
    "ask.code": "one-time code",
    "ask.no_factor": "No second factor is set up, so nobody can say yes to this. Set one up in another terminal: carapax factor set",
    "lacking.tries": "Tries left: {count}.",
    "lacking.value_missing": "A yes is not enough here: type the value.",
    "lacking.value_wrong": "What was typed is not the value of this call.",
    "lacking.pick_missing": "A yes is not enough here: pick the lines that you mean.",
    "lacking.pick_wrong": "A picked line is not on the card, or is picked twice.",
    "lacking.code_wrong": "The one-time code is missing or wrong, or was used before.",
    "lacking.no_factor": "No second factor can be checked now: none is set up, or too many codes were wrong.",
    "lacking.too_many_wrong": "Too many wrong answers: it was refused.",
    "factor.scan": "Add this to the app on your own device, as text or as a QR code of the address. It is shown once.",
    "factor.confirm": "the code that your app shows now",
    "factor.unset": "Nothing was set up: no code was given.",
    "factor.set": "The second factor is set up. That code is used up; the next one counts.",
    "factor.sure": "Forget the secret? What asks for a second factor can then not be approved.",
    "factor.removed": "The second factor is removed.",
    "factor.none": "No second factor is set up. Set one up with `carapax factor set`.",
    "factor.ready": "A second factor is set up.",
    "factor.locked": "Too many wrong codes: none is looked at until {until}.",
    "ask.empty": "There is nothing to send: the message is empty.",
    "answered.expired": "Nobody answered in time; it was not done.",
    "answered.denied": "The answer was no; it was not done.",
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
    "approvals.pick": "Lines are picked like this: --pick 1,3-4",
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
    "policy.written_next": "Read it: it says in words what your agent may do. `carapax policy matrix` shows every answer.",
    "policy.answer.allow": "allowed",
    "policy.answer.ask": "asks you",
    "policy.answer.deny": "refused",
    "policy.effect_label": "what",
    "policy.session_label": "session",
    "policy.session_tainted": "has read untrusted text",
    "policy.session_clean": "has read nothing untrusted",
    "policy.why_label": "why",
    "policy.no_reason": "No line of the policy allows this.",
    "policy.instead_label": "otherwise",
    "policy.if_yes": "with your yes → allowed",
    "policy.if_none": "Nothing about the call alone would change this; a line of the policy would have to.",
    "policy.if.inside": "inside the workspace",
    "policy.if.clear": "without hidden characters",
    "policy.if.undoable": "if it could be undone",
    "policy.if.fewer": "with a single file",
    "policy.if.cheaper": "without money",
    "policy.if.intended": "if you had asked for it",
    "policy.if.known": "to somebody in your directory",
    "policy.if.org": "inside your organisation",
    "policy.if.owner": "to yourself",
    "policy.if.untainted": "in a session that has read nothing untrusted",
    "policy.if.public": "in a session that has read nothing private",
    "policy.if.as_owner": "asked by the owner",
    "policy.effect.read": "read",
    "policy.effect.fetch": "fetch from the network",
    "policy.effect.self_add": "add to your own things",
    "policy.effect.self_modify": "change your own things",
    "policy.effect.destroy": "delete",
    "policy.effect.communicate": "send messages",
    "policy.effect.publish": "publish",
    "policy.effect.access": "give access",
    "policy.effect.money": "move money",
    "policy.effect.credential": "use credentials",
    "policy.effect.code": "run commands",
    "policy.when.plain": "plainly",
    "policy.when.tainted": "after untrusted text",
    "policy.when.public": "with nothing private read",
    "policy.when.hidden": "with hidden characters",
    "policy.when.outside": "outside the workspace",
    "policy.when.for ever": "what cannot be undone",
    "policy.files": "{count} files",
    "policy.when.to owner": "to yourself",
    "policy.when.to org": "to your organisation",
    "policy.when.to known": "to your directory",
    "policy.when.to named": "to whom you named",
    "policy.when.to other": "to anybody else",
    "policy.same": "It is the policy in force; nothing differs.",
    "policy.no_answers": "No answer of the matrix changes.",
    "policy.more": "  and {count} more; `carapax policy diff --json` shows them",
    "policy.wider": "allows more",
    "policy.narrower": "It also allows less. Taking that back would mean:",
    "policy.widens": "It allows more than the policy in force. It needs {count} signature: `carapax policy sign`.",
    "policy.widens_not": "It allows nothing more than the policy in force. It needs {count} signature: `carapax policy sign`.",
    "policy.needs_more": "It allows more than the policy in force. It needs {count} signatures, each with `carapax policy sign`.",
    "policy.in_force": "Signed by {names}; serial {serial} is in force.",
    "policy.waits": "Signed by {names}: {have} of {needs} signatures. It is not in force yet, because it allows more:",
    "policy.waits_next": "Until then nothing can be done but talk. Another signer runs `carapax policy sign --key-file KEY`.",
    "policy.case": "line {line}: expected {expected}, found {found}",
    "policy.cases_hold": "{held} of {total} cases hold",
    "policy.cases_wrong": "{held} of {total} cases hold; correct the policy, or what is expected",
    "policy.denied_all": "Refused everything: {roles}",
    "policy.replayed": "{calls} calls of the last {days} days under serial {serial}:",
    "policy.as_it_was": "as it was",
    "policy.unknown_calls": "Not judged, because their tools are not installed here: {count}.",
    "policy.replay_same": "Every call would be answered as it was.",
    "policy.replay_changes": "Answered differently: {count}; the first are listed above.",
    "trust.tier.observe": "reads and proposes; changes nothing",
    "trust.tier.draft": "prepares; never sends, pays, shares or deletes",
    "trust.tier.assist": "acts, and asks you where the policy says so",
    "trust.tier.act": "acts, and uses the grants of the policy without asking",
    "trust.record": "The record since {since}, from the ledger:",
    "trust.no_record": "There is no record yet: nothing was done so far.",
    "trust.done": "actions done",
    "trust.failed": "failed or stopped",
    "trust.asked": "asked about",
    "trust.approved": "approved by a person",
    "trust.denied": "denied by a person",
    "trust.unanswered": "left without an answer",
    "trust.refused": "refused by a rule",
    "trust.undone": "turns taken back",
    "trust.next": "With {tier}:",
    "trust.no_grants": "Nothing changes yet: the policy lists no `grants`.",
    "trust.how": "`carapax trust {tier}` makes this step; a lower tier is one command as well.",
    "trust.already": "The trust is {tier} already.",
    "trust.confirm": "Change the trust from {before} to {tier}?",
    "trust.changed": "The trust is now {tier}; serial {serial} is in force from the next turn.",
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
    **WARDS_EN,
    **EGRESS_EN,
    **VAULT_EN,
    **CHANNELS_EN,
}
