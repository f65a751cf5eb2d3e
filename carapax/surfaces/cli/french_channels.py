"""French words of channels, given-up messages, pairing and people."""

from __future__ import annotations

CHANNELS_FR = {
    "help.channels": "relier des messageries, et voir où elles en sont",
    "about.channels": "Un canal est un compte de l'agent sur une messagerie. Son secret est scellé dans le coffre et joint aux "
    "requêtes au dernier moment. Personne n'y reçoit de réponse avant d'être associé par un code.",
    "examples.channels": """exemples :
  carapax channels                       tous
  carapax channels add                   ce qui peut être relié
  carapax channels add telegram          demande ce qu'il faut, essaie, vous donne un code
  carapax channels add irc --name work --set server=irc.example.org
  carapax channels add telegram --secret token=@token.txt
  carapax channels add telegram --secret token=env:BOT_TOKEN --json
  carapax channels status telegram       finit avec 1 quand il ne marche pas
  carapax channels logs telegram
  carapax channels remove telegram

Un secret vient d'une saisie cachée, d'un fichier (@FILE), de l'entrée standard (-), de l'environnement
(env:NAME), ou est déjà au coffre (vault:NAME) ; jamais de la ligne de commande.""",
    "help.channels.list": "tous",
    "help.channels.add": "en relier un : demande ce qu'il faut, essaie, garde",
    "help.channels.status": "où ils en sont, avec les comptes",
    "help.channels.logs": "ce qui est arrivé à sa connexion",
    "help.channels.test": "interroger la plateforme maintenant",
    "help.channels.remove": "le délier et oublier ses personnes, lieux et secret",
    "help.messages": "messages qui n'ont pu être remis ou traités",
    "about.messages": "Ce qui a été essayé assez souvent reste ici jusqu'à votre décision : réessayer, ou abandonner.",
    "examples.messages": """exemples :
  carapax messages dead
  carapax messages retry 3f9a1c20
  carapax messages drop 3f9a""",
    "help.messages.dead": "ce qui a été abandonné, le plus récent d'abord",
    "help.messages.retry": "en réessayer un",
    "help.messages.drop": "en abandonner un pour de bon",
    "help.pair": "faire entrer quelqu'un sur un canal, par un code",
    "about.pair": "Sans CODE : fait un code à envoyer à l'agent sur un canal ; qui l'envoie est cette personne ici. "
    "Avec CODE : fait entrer quelqu'un à qui l'agent a donné ce code, et qui vous l'a dit.",
    "examples.pair": """exemples :
  carapax pair                           un code pour vous, pour tout canal
  carapax pair --as anna --channel telegram
  carapax pair 7KQ2-M9XD --as anna       l'agent a donné ce code à Anna, et elle vous l'a dit""",
    "help.people": "qui est qui sur les canaux",
    "about.people": "Les comptes des canaux qui sont associés à une personne ici.",
    "examples.people": """exemples :
  carapax people
  carapax people forget telegram 4711""",
    "help.people.list": "chaque compte, et les codes en attente",
    "help.people.forget": "refaire de quelqu'un un inconnu",
    "opt.channel_kind": "telegram, slack, matrix, … ; sans lui, tout ce qui peut être relié",
    "opt.channel_new_name": "comment l'appeler ici (le nom de sa sorte sinon)",
    "opt.channel_set": "une réponse à ce qu'il demande ; peut être répété",
    "opt.channel_secret": "d'où vient un secret : @FILE, - (entrée standard), env:NAME, vault:NAME",
    "opt.channel_name": "le nom du canal ici",
    "opt.message": "l'identifiant du message, ou son début",
    "opt.pair_code": "le code que l'agent a donné à quelqu'un",
    "opt.pair_as": "qui c'est ici (le propriétaire sinon)",
    "opt.pair_channel": "le code ne peut être envoyé que sur ce canal",
    "opt.sender": "l'identifiant de la plateforme, comme `carapax people` le montre",
    "channels.none": "Aucun canal n'est relié. `carapax channels add` montre ce qui peut l'être.",
    "channels.kinds": "Ce qui peut être relié :",
    "channels.no_kinds": "Cette passerelle ne connaît aucun canal.",
    "channels.add_how": "carapax channels add KIND",
    "channels.state.up": "relié",
    "channels.state.connecting": "connexion",
    "channels.state.waiting": "réessaie",
    "channels.state.refused": "refusé",
    "channels.state.off": "éteint",
    "channels.queued": "{count} à envoyer",
    "channels.counts": "reçus {heard} · envoyés {sent} · en attente {queued}",
    "channels.since": "depuis {when}",
    "channels.no_kind": "Il n'y a pas de sorte {kind}.",
    "channels.near": "Vouliez-vous dire {near} ? Il y a : {kinds}.",
    "channels.there_are": "Il y a : {kinds}.",
    "channels.bad_name": "{name} ne peut pas être le nom d'un canal.",
    "channels.bad_name_next": "Prenez a-z, 0-9 et -, au plus 32 caractères : --name work",
    "channels.not_pair": "{given} n'est pas KEY=VALUE.",
    "channels.is_secret": "`{key}` est un secret, et ce qui est sur une ligne de commande peut être lu par d'autres programmes.",
    "channels.is_secret_next": "Donnez-le ainsi : --secret {key}=@FILE, {key}=- (entrée standard), {key}=env:NAME ou {key}=vault:NAME. "
    "Si c'était sa vraie valeur, demandez-en une autre à la plateforme.",
    "channels.no_secret": "`{key}` n'est pas un secret.",
    "channels.no_secret_next": "Donnez-le ainsi : --set {key}=VALUE",
    "channels.no_key": "{title} ne demande pas {key}.",
    "channels.no_key_next": "Il demande : {keys}.",
    "channels.no_value": "`{key}` est vide : {source} ne contient rien.",
    "channels.no_value_next": "Vérifiez, puis relancez ; rien n'a été changé.",
    "channels.missing": "{title} a besoin de {key} : {question}",
    "channels.missing_set": "Ajoutez --set {key}=VALUE",
    "channels.missing_secret": "Ajoutez --secret {key}=@FILE, ou {key}=- et donnez-le sur l'entrée standard.",
    "channels.wrong": "Cela ne ressemble pas à {key}.",
    "channels.optional": "facultatif",
    "channels.hidden": "non montré",
    "channels.elsewhere": "La passerelle est sur une autre machine, et son coffre aussi.",
    "channels.elsewhere_next": "Lancez cette commande là-bas, ou gardez-y les secrets et nommez-les : --secret {key}=vault:NAME",
    "channels.sealed": "Un secret de ce genre est déjà gardé pour {name} et ne se remplace pas sur place.",
    "channels.sealed_next": "Lancez : carapax channels remove {name}, puis reliez-le de nouveau. Ou donnez un autre --name.",
    "channels.replace": "{name} est déjà relié. Le remplacer ?",
    "channels.testing": "la plateforme est interrogée …",
    "channels.unknown": "On ne sait pas si {name} a été relié ; ses secrets sont gardés. Regardez : carapax channels",
    "channels.added": "{name} est relié à {title}.",
    "channels.hook_at": "La plateforme appelle https://VOTRE-NOM-PUBLIC/hooks/{name} (le réglage public_url le nomme).",
    "channels.pair_now": "Envoyez ce code à l'agent là-bas, dans l'heure, et il saura que c'est vous :",
    "channels.pair_later": "Puis associez-vous : carapax pair --channel {name}",
    "channels.works": "{name} marche.",
    "channels.sure": "Délier {name}, et oublier ses personnes, lieux et secret ?",
    "channels.removed": "{name} est délié et oublié.",
    "channels.secret_stays": "Son secret {handle} est encore au coffre : carapax vault remove {handle}",
    "channels.no_log": "Il ne lui est encore rien arrivé.",
    "channels.not_there": "Il n'y a pas de canal {name}.",
    "channels.not_there_next": "`carapax channels` les liste.",
    "messages.none": "Rien n'a été abandonné.",
    "messages.tries": "{count} essais",
    "messages.retried": "{id} est réessayé.",
    "messages.sure": "Abandonner {id} pour de bon ?",
    "messages.dropped": "{id} est abandonné.",
    "pair.code": "Envoyez ce code à l'agent {where}, avant {when} :",
    "pair.anywhere": "sur n'importe quel canal",
    "pair.on": "sur {channel}",
    "pair.who": "Qui l'envoie est {person} ici. Il sert une fois.",
    "pair.done": "{who} sur {channel} est désormais {person}.",
    "pair.not_a_code": "Ce n'est pas un code.",
    "pair.not_a_code_next": "Un code ressemble à 7KQ2-M9XD et ne contient ni 0, O, 1, I, ni L.",
    "people.none": "Personne n'est associé. `carapax pair` fait un code.",
    "people.since": "depuis {when}",
    "people.waiting": "{who} sur {channel} attend, jusqu'à {when}. S'il vous a dit son code : carapax pair CODE --as PERSON",
    "people.made": "Un code pour {person} attend d'être envoyé, jusqu'à {when}.",
    "people.sure": "Refaire de {sender} sur {channel} un inconnu ?",
    "people.forgotten": "{sender} sur {channel} est redevenu un inconnu.",
}
