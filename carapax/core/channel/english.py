"""What the gateway says in a chat, in English. Layer: core/channel. A test compares it with `french`."""

from __future__ import annotations

ENGLISH: dict[str, str] = {
    "card.waits": "Waits for your answer: {title}",
    "card.calls": "Waits for your answer: {count} steps",
    "card.says": "not named by you; the call says",
    "card.says_from": "not named by you; the call says, from {source},",
    "card.taint": "This conversation has read text from outside: {taint}",
    "card.hidden": "Hidden text was found ({count}):",
    "card.hint": "A detector notes: {hint}",
    "card.choices": "Lines to pick from:",
    "card.choices_of": "Lines to pick from, in {source}:",
    "card.why": "Why it asks: {reason}",
    "card.rule": "Rule: {rule}",
    "card.more": "… {count:,} more characters; see all of it with `carapax approvals --whole`",
    "card.cut": "… not all of it fits here; see all of it with `carapax approvals --whole`",
    "card.people": "{people} people have to agree; {agreed} did.",
    "card.expires": "It waits for {left}; silence is no.",
    "card.how": "Answer: yes {id} · no {id}",
    "card.how_type": "Answer: yes {id} and the {name} as you know it · no {id}",
    "card.how_types": "Answer: yes {id} and, a line each, as you know them: {name} · no {id}",
    "card.how_pick": "Answer: yes {id} 1,3-4 with the lines you mean · no {id}",
    "card.how_both": "Answer: yes {id} 1,3-4 with the lines you mean, then, a line each: {name} · no {id}",
    "card.factor": "Add `code` and the 6 digits of your app.",
    "card.elsewhere": "A value here holds characters that do not show: it can only be refused.",
    "button.yes": "Yes",
    "button.no": "No",
    "time.hours": "{hours} h {minutes} min",
    "time.minutes": "{minutes} min",
    "time.seconds": "less than a minute",
    "still": "This conversation waits for your answer to {id}: {title}",
    "still.many": "This conversation waits for {count} answers: {ids}",
    "answered.approved": "Yes to {id}. It goes on.",
    "answered.denied": "No to {id}. It was not done.",
    "answered.expired": "{id} got no answer in time. It was not done.",
    "answered.agreed": "Your yes to {id} counts; {left} more must agree.",
    "refused": "Refused: {what}",
    "refused.rule": "Rule {rule}",
    "refused.entry": "entry #{entry}",
    "undone": "Nothing was done.",
    "pair.stranger": "This agent does not know you yet. If its owner knows you, give them this code:\n\n{code}\n\n"
    "It is good for {minutes} minutes.",
    "pair.waits": "The code that you were given still waits for the owner of this agent.",
    "pair.owner": "Somebody on {channel} asks to talk to me: {who}. If you know them and they told you their code: "
    "/pair CODE as NAME, or `carapax pair CODE --as NAME`. Otherwise do nothing.",
    "pair.owner_warn": "Look twice at the id: {why}",
    "pair.done": "Done: here you are {person}.",
    "pair.accepted": "{who} on {channel} is {person} from now on.",
    "pair.wrong": "This is not a code that waits. {left} tries are left.",
    "link.code": "Send this to me on the other channel, within {minutes} minutes:\n\n{code}",
    "cut": "That was too long; I took the first {count:,} characters.",
    "shed": "I have {count} messages of yours to do and take no more. This one was not taken; send it again later.",
    "queued": "Taken; {count} before it.",
    "voice": "I cannot listen to recordings here. Please write it.",
    "file.large": "{name} is too large to take ({most} MiB at most).",
    "bots": "I stopped answering the bot here; write to me yourself and I go on.",
    "stopped": "Stopped.",
    "nothing_runs": "Nothing runs here.",
    "nothing_waits": "Nothing waits for your answer.",
    "private.told": "Not everybody here may read the answer. I wrote it to you directly.",
    "private.untold": "Not everybody here may read the answer. Write to me directly and ask again.",
    "only_private": "Not here, where others read along. Write to me directly.",
    "new": "A new conversation begins with your next message.",
    "queue.is": "While I work, messages are taken so: {mode}. {about}\nOthers: {others}",
    "queue.set": "From now on: {mode}. {about}",
    "queue.about.steer": "What you write reaches the work that runs, at its next step.",
    "queue.about.follow-up": "Each waits its turn.",
    "queue.about.collect": "All that wait become one message.",
    "queue.about.interrupt": "What you write ends what runs, and begins.",
    "whoami": "You are {person} ({role}). Here: {who}, on {channel}.",
    "command.unknown": "There is no /{word}. /help shows what there is.",
    "command.near": "There is no /{word}. Did you mean {near}?",
    "command.no_code": "/{word} needs a code: /{word} 7KQ2-M9XD as NAME",
    "command.not_a_code": "This is not a code. Codes look like 7KQ2-M9XD and never hold 0, O, 1, I or L.",
    "command.no_mode": "There is no mode {word}. There are: {others}",
    "command.too_much": "/{word} takes nothing behind it.",
    "help": """Write what you want, in your own words.
/stop  end what runs
/new  begin a new conversation
/undo  take back what I last changed in files
/approvals  what waits for your answer
/queue  how messages are taken while I work
/status  how I am
/whoami  who you are here
/link  use another channel too
/pair CODE as NAME  let somebody in whom you know
An answer to a card: yes CODE, or no CODE.""",
}
