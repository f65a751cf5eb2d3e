"""What the gateway says in a chat, in French. Layer: core/channel. A test compares it with `english`."""

from __future__ import annotations

FRENCH: dict[str, str] = {
    "card.waits": "Attend votre réponse : {title}",
    "card.calls": "Attend votre réponse : {count} étapes",
    "card.says": "que vous n’avez pas nommé ; l’appel dit",
    "card.says_from": "que vous n’avez pas nommé ; l’appel dit, d’après {source},",
    "card.taint": "Cette conversation a lu du texte de l’extérieur : {taint}",
    "card.hidden": "Du texte caché a été trouvé ({count}) :",
    "card.hint": "Un détecteur signale : {hint}",
    "card.choices": "Lignes à choisir :",
    "card.choices_of": "Lignes à choisir, dans {source} :",
    "card.why": "Pourquoi la question : {reason}",
    "card.rule": "Règle : {rule}",
    "card.more": "… encore {count:,} caractères ; tout voir : `carapax approvals --whole`",
    "card.cut": "… tout ne tient pas ici ; tout voir : `carapax approvals --whole`",
    "card.people": "{people} personnes doivent être d’accord ; {agreed} le sont.",
    "card.expires": "Délai : {left} ; sans réponse, c’est non.",
    "card.how": "Réponse : oui {id} · non {id}",
    "card.how_type": "Réponse : oui {id} puis la valeur de {name} telle que vous la connaissez · non {id}",
    "card.how_types": "Réponse : oui {id} puis, une par ligne, telles que vous les connaissez : {name} · non {id}",
    "card.how_pick": "Réponse : oui {id} 1,3-4 avec les lignes voulues · non {id}",
    "card.how_both": "Réponse : oui {id} 1,3-4 avec les lignes voulues, puis, une par ligne : {name} · non {id}",
    "card.factor": "Ajoutez `code` et les 6 chiffres de votre application.",
    "card.elsewhere": "Une valeur contient des caractères invisibles : on ne peut que refuser.",
    "button.yes": "Oui",
    "button.no": "Non",
    "time.hours": "{hours} h {minutes} min",
    "time.minutes": "{minutes} min",
    "time.seconds": "moins d’une minute",
    "still": "Cette conversation attend votre réponse à {id} : {title}",
    "still.many": "Cette conversation attend {count} réponses : {ids}",
    "answered.approved": "Oui à {id}. Cela continue.",
    "answered.denied": "Non à {id}. Cela n’a pas été fait.",
    "answered.expired": "{id} est resté sans réponse. Cela n’a pas été fait.",
    "answered.agreed": "Votre oui à {id} compte ; il manque l’accord de {left}.",
    "refused": "Refusé : {what}",
    "refused.rule": "Règle {rule}",
    "refused.entry": "entrée n° {entry}",
    "undone": "Rien n’a été fait.",
    "pair.stranger": "Cet agent ne vous connaît pas encore. Si son propriétaire vous connaît, donnez-lui ce code :\n\n"
    "{code}\n\nIl vaut {minutes} minutes.",
    "pair.waits": "Le code que vous avez reçu attend toujours le propriétaire de cet agent.",
    "pair.owner": "Quelqu’un sur {channel} demande à me parler : {who}. Si vous le connaissez et qu’il vous a dit son "
    "code : /pair CODE comme NOM, ou `carapax pair CODE --as NOM`. Sinon, ne faites rien.",
    "pair.owner_warn": "Regardez l’identifiant de près : {why}",
    "pair.done": "C’est fait : ici, vous êtes {person}.",
    "pair.accepted": "{who} sur {channel} est désormais {person}.",
    "pair.wrong": "Ce n’est pas un code en attente. Il reste {left} essais.",
    "link.code": "Envoyez-moi ceci sur l’autre canal, dans les {minutes} minutes :\n\n{code}",
    "cut": "C’était trop long ; j’ai pris les {count:,} premiers caractères.",
    "shed": "J’ai {count} messages de vous à traiter et n’en prends plus. Celui-ci n’a pas été pris ; renvoyez-le plus tard.",
    "queued": "Pris ; {count} avant lui.",
    "voice": "Je ne peux pas écouter d’enregistrements ici. Écrivez-le, s’il vous plaît.",
    "file.large": "{name} est trop volumineux ({most} Mio au plus).",
    "bots": "J’ai cessé de répondre au bot ici ; écrivez-moi vous-même et je reprends.",
    "stopped": "Arrêté.",
    "nothing_runs": "Rien n’est en cours ici.",
    "nothing_waits": "Rien n’attend votre réponse.",
    "private.told": "Tous n’ont pas le droit de lire la réponse ici. Je vous l’ai écrite directement.",
    "private.untold": "Tous n’ont pas le droit de lire la réponse ici. Écrivez-moi directement et redemandez.",
    "only_private": "Pas ici, où d’autres lisent. Écrivez-moi directement.",
    "new": "Une nouvelle conversation commence avec votre prochain message.",
    "queue.is": "Pendant que je travaille, les messages sont pris ainsi : {mode}. {about}\nAutres : {others}",
    "queue.set": "Désormais : {mode}. {about}",
    "queue.about.steer": "Ce que vous écrivez atteint le travail en cours, à sa prochaine étape.",
    "queue.about.follow-up": "Chacun attend son tour.",
    "queue.about.collect": "Tous ceux qui attendent deviennent un seul message.",
    "queue.about.interrupt": "Ce que vous écrivez met fin à ce qui est en cours, et commence.",
    "whoami": "Vous êtes {person} ({role}). Ici : {who}, sur {channel}.",
    "command.unknown": "/{word} n’existe pas. /help montre ce qu’il y a.",
    "command.near": "/{word} n’existe pas. Vouliez-vous dire {near} ?",
    "command.no_code": "/{word} demande un code : /{word} 7KQ2-M9XD comme NOM",
    "command.not_a_code": "Ce n’est pas un code. Un code ressemble à 7KQ2-M9XD, sans 0, O, 1, I ni L.",
    "command.no_mode": "Le mode {word} n’existe pas. Il y a : {others}",
    "command.too_much": "/{word} ne prend rien après.",
    "help": """Écrivez ce que vous voulez, avec vos mots.
/stop  mettre fin à ce qui est en cours
/new  commencer une nouvelle conversation
/undo  annuler ce que j’ai changé en dernier dans les fichiers
/approvals  ce qui attend votre réponse
/queue  comment les messages sont pris pendant que je travaille
/status  comment je vais
/whoami  qui vous êtes ici
/link  utiliser aussi un autre canal
/pair CODE comme NOM  faire entrer quelqu’un que vous connaissez
Répondre à une carte : oui CODE, ou non CODE.""",
}
