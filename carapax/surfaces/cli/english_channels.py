"""English words of channels, given-up messages, pairing and people."""

from __future__ import annotations

CHANNELS_EN = {
    "help.channels": "connect messengers, and see how they stand",
    "about.channels": "A channel is one account of the agent on a messenger. Its credential is sealed in the vault and joined to "
    "requests at the last moment. Nobody is answered there before they are paired with a code.",
    "examples.channels": """examples:
  carapax channels                       all of them
  carapax channels add                   what can be connected
  carapax channels add telegram          asks for what it needs, tests it, gives you a code
  carapax channels add irc --name work --set server=irc.example.org
  carapax channels add telegram --secret token=@token.txt
  carapax channels add telegram --secret token=env:BOT_TOKEN --json
  carapax channels status telegram       exits with 1 when it does not work
  carapax channels logs telegram
  carapax channels remove telegram

A secret comes from a hidden prompt, a file (@FILE), standard input (-), the environment
(env:NAME), or is in the vault already (vault:NAME); never from the command line itself.""",
    "help.channels.list": "all of them",
    "help.channels.add": "connect one: asks for what it needs, tests it, keeps it",
    "help.channels.status": "how they stand, with counts",
    "help.channels.logs": "what happened to its connection",
    "help.channels.test": "ask the platform now",
    "help.channels.remove": "disconnect it and forget its people, places and credential",
    "help.messages": "messages that could not be delivered or handled",
    "about.messages": "What was tried often enough is kept here until you decide: try again, or drop it.",
    "examples.messages": """examples:
  carapax messages dead
  carapax messages retry 3f9a1c20
  carapax messages drop 3f9a""",
    "help.messages.dead": "what was given up, the newest first",
    "help.messages.retry": "try one again",
    "help.messages.drop": "drop one for good",
    "help.pair": "let somebody in on a channel, by a code",
    "about.pair": "Without CODE: makes a code that is sent to the agent on a channel; whoever sends it is that person here. "
    "With CODE: takes in somebody whom the agent gave that code, and who told you.",
    "examples.pair": """examples:
  carapax pair                           a code for yourself, for any channel
  carapax pair --as anna --channel telegram
  carapax pair 7KQ2-M9XD --as anna       the agent gave Anna this code, and she told you""",
    "help.people": "who is who on the channels",
    "about.people": "Accounts on channels that are paired with a person here.",
    "examples.people": """examples:
  carapax people
  carapax people forget telegram 4711""",
    "help.people.list": "every account, and codes that wait",
    "help.people.forget": "make somebody a stranger again",
    "opt.channel_kind": "telegram, slack, matrix, …; without it, all that can be connected",
    "opt.channel_new_name": "what to call it here (the kind's name)",
    "opt.channel_set": "an answer to what it asks for; may be given again",
    "opt.channel_secret": "where a secret comes from: @FILE, - (standard input), env:NAME, vault:NAME",
    "opt.channel_name": "the channel's name here",
    "opt.message": "the message's id, or how it begins",
    "opt.pair_code": "the code that the agent gave somebody",
    "opt.pair_as": "who they are here (the owner, when not given)",
    "opt.pair_channel": "the code may be sent on this channel alone",
    "opt.sender": "the platform's id, as `carapax people` shows it",
    "channels.none": "No channel is connected. `carapax channels add` shows what can be.",
    "channels.kinds": "What can be connected:",
    "channels.no_kinds": "This gateway knows no channels.",
    "channels.add_how": "carapax channels add KIND",
    "channels.state.up": "up",
    "channels.state.connecting": "connecting",
    "channels.state.waiting": "tries again",
    "channels.state.refused": "refused",
    "channels.state.off": "off",
    "channels.queued": "{count} to send",
    "channels.counts": "heard {heard} · sent {sent} · waiting {queued}",
    "channels.since": "since {when}",
    "channels.no_kind": "There is no kind {kind}.",
    "channels.near": "Did you mean {near}? There are: {kinds}.",
    "channels.there_are": "There are: {kinds}.",
    "channels.bad_name": "{name} cannot be a channel's name.",
    "channels.bad_name_next": "Use a-z, 0-9 and -, at most 32 characters: --name work",
    "channels.not_pair": "{given} is not KEY=VALUE.",
    "channels.is_secret": "`{key}` is a secret, and what stands on a command line can be read by other programs.",
    "channels.is_secret_next": "Give it so: --secret {key}=@FILE, {key}=- (standard input), {key}=env:NAME or {key}=vault:NAME. "
    "If that was its real value, get a new one from the platform.",
    "channels.no_secret": "`{key}` is no secret.",
    "channels.no_secret_next": "Give it so: --set {key}=VALUE",
    "channels.no_key": "{title} does not ask for {key}.",
    "channels.no_key_next": "It asks for: {keys}.",
    "channels.no_value": "`{key}` is empty: {source} holds nothing.",
    "channels.no_value_next": "Look at it, then run this again; nothing was changed.",
    "channels.missing": "{title} needs {key}: {question}",
    "channels.missing_set": "Add --set {key}=VALUE",
    "channels.missing_secret": "Add --secret {key}=@FILE, or {key}=- and give it on standard input.",
    "channels.wrong": "That does not look like {key}.",
    "channels.optional": "optional",
    "channels.hidden": "not shown",
    "channels.elsewhere": "The gateway is on another machine, and so is its vault.",
    "channels.elsewhere_next": "Run this command there, or keep the secrets there and name them: --secret {key}=vault:NAME",
    "channels.sealed": "A secret of this kind is kept for {name} already, and cannot be replaced in place.",
    "channels.sealed_next": "Run: carapax channels remove {name}; then add it again. Or give another --name.",
    "channels.replace": "{name} is connected already. Replace it?",
    "channels.testing": "asking the platform …",
    "channels.unknown": "Whether {name} was connected is not known; its secrets are kept. Look: carapax channels",
    "channels.added": "{name} is connected to {title}.",
    "channels.hook_at": "The platform calls https://YOUR-PUBLIC-NAME/hooks/{name} (the setting public_url names it).",
    "channels.pair_now": "Send this code to the agent there, within the hour, and it knows that you are you:",
    "channels.pair_later": "Then pair yourself: carapax pair --channel {name}",
    "channels.works": "{name} works.",
    "channels.sure": "Disconnect {name}, and forget its people, places and credential?",
    "channels.removed": "{name} is disconnected and forgotten.",
    "channels.secret_stays": "Its secret {handle} is still in the vault: carapax vault remove {handle}",
    "channels.no_log": "Nothing happened to it yet.",
    "channels.not_there": "There is no channel {name}.",
    "channels.not_there_next": "`carapax channels` lists them.",
    "messages.none": "Nothing was given up.",
    "messages.tries": "{count} tries",
    "messages.retried": "{id} is tried again.",
    "messages.sure": "Drop {id} for good?",
    "messages.dropped": "{id} is dropped.",
    "pair.code": "Send this code to the agent {where}, before {when}:",
    "pair.anywhere": "on any channel",
    "pair.on": "on {channel}",
    "pair.who": "Whoever sends it is {person} here. It works once.",
    "pair.done": "{who} on {channel} is {person} from now on.",
    "pair.not_a_code": "This is not a code.",
    "pair.not_a_code_next": "A code looks like 7KQ2-M9XD and never holds 0, O, 1, I or L.",
    "people.none": "Nobody is paired. `carapax pair` makes a code.",
    "people.since": "since {when}",
    "people.waiting": "{who} on {channel} waits, until {when}. If they told you their code: carapax pair CODE --as PERSON",
    "people.made": "A code for {person} waits to be sent, until {when}.",
    "people.sure": "Make {sender} on {channel} a stranger again?",
    "people.forgotten": "{sender} on {channel} is a stranger again.",
}
