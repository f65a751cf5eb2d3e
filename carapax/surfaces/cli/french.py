"""French: the same keys as `english`."""

from __future__ import annotations

from carapax.surfaces.cli.french_channels import CHANNELS_FR
from carapax.surfaces.cli.french_egress import EGRESS_FR
from carapax.surfaces.cli.french_vault import VAULT_FR
from carapax.surfaces.cli.french_wards import WARDS_FR

FRENCH = {
    "about": "Carapax : un agent qui agit, dans une carapace qui tient.",
    "examples": """exemples :
  carapax chat                          lui parler dans ce terminal
  carapax ask "qu'y a-t-il dans notes.txt"   une question, une réponse
  carapax undo                          reprendre ce que le dernier tour a changé
  carapax doctor                        vérifier tout ce dont il dépend
  carapax COMMANDE --help               plus de détails, avec des exemples

Codes de sortie : 0 fait, 1 échec, 2 usage, 3 pas de passerelle, 4 attend un accord,
5 refusé par la politique, 6 budget épuisé, 7 jeton non accepté, 130 interrompu.""",
    "usage.usage": "usage :",
    "usage.arguments": "arguments",
    "usage.options": "options",
    "usage.command": "COMMANDE",
    "usage.commands": "commandes",
    "usage.action": "ACTION",
    "usage.actions": "actions",
    "usage.see": "Voir `{command} --help`.",
    "usage.required": "Il manque : {0}",
    "usage.unrecognized": "Pas compris : {0}",
    "usage.choice": "{0} : {1} n'est pas parmi {2}",
    "usage.value": "{0} : {1} n'est pas une valeur possible",
    "usage.expected": "{0} : il manque une valeur",
    "help.chat": "parler à l'agent dans ce terminal",
    "about.chat": "Parler à l'agent dans ce terminal. Démarre une passerelle s'il n'y en a pas, et l'arrête quand vous partez.",
    "examples.chat": """exemples :
  carapax chat                 une nouvelle session
  carapax chat --continue      reprendre la session la plus récente
  carapax chat --keep          laisser tourner la passerelle ensuite

Dans la conversation : /help dit ce qu'il sait faire, /undo reprend un tour, Ctrl-C
arrête le tour en cours, Ctrl-D quitte. Une barre oblique inverse en fin de ligne continue sur la suivante.""",
    "help.ask": "un message, une réponse",
    "about.ask": "Envoyer un message et afficher la réponse. Étapes, cartes et avis vont sur stderr : un tube ne porte que la réponse.",
    "examples.ask": """exemples :
  carapax ask "combien de place reste-t-il sur le disque"
  carapax ask "résume cela" --continue
  carapax ask - < question.txt            le message est lu sur stdin
  carapax ask --json "liste mes fichiers"     un objet JSON à la fin
  carapax ask --events "liste mes fichiers"   chaque événement, un objet JSON par ligne

Sort avec 4 quand un accord est nécessaire et que personne ne peut répondre ici.""",
    "help.serve": "faire tourner la passerelle dans ce terminal",
    "about.serve": "Faire tourner la passerelle ici jusqu'à Ctrl-C ou `carapax stop`. Elle n'écoute que cette machine, sauf avec un certificat.",
    "examples.serve": """exemples :
  carapax serve
  carapax serve --sample                  d'abord un tour d'essai, étape par étape
  carapax serve --host 192.0.2.7 --tls-cert cert.pem --tls-key key.pem""",
    "help.doctor": "vérifier tout ce dont il dépend",
    "about.doctor": "Vérifier tout ce dont Carapax dépend, et dire quoi faire pour chaque échec. Fonctionne sans passerelle.",
    "examples.doctor": """exemples :
  carapax doctor
  carapax doctor --walls                  chaque tentative de sortie, à chaque niveau
  carapax doctor --json""",
    "help.sessions": "lister, montrer, chercher, nommer, exporter et supprimer des sessions",
    "about.sessions": "S'occuper des sessions. SESSION est un identifiant, sa fin, ou un nom.",
    "examples.sessions": """exemples :
  carapax sessions
  carapax sessions search facture
  carapax sessions show 4RT9QX
  carapax sessions name 4RT9QX impôts
  carapax sessions export 4RT9QX > session.ndjson""",
    "help.sessions.list": "les plus récentes d'abord",
    "help.sessions.search": "celles dont le nom ou le texte contient ces mots",
    "help.sessions.show": "ses tours",
    "help.sessions.name": "lui donner un nom",
    "help.sessions.export": "chaque élément en JSON, un par ligne",
    "help.sessions.delete": "la supprimer pour de bon (le registre garde ce qui fut fait)",
    "help.approvals": "voir ce qui vous attend, et répondre",
    "about.approvals": "Voir ce qui vous attend, et répondre. Après une réponse, la suite du tour est montrée.",
    "examples.approvals": """exemples :
  carapax approvals                 ce qui attend
  carapax approvals --whole         avec chaque ligne de chaque valeur
  carapax approve K7M2
  carapax deny K7M2""",
    "help.approve": "dire oui à l'une d'elles",
    "about.approve": "Dire oui à une carte, et à elle seule. Ce que vous n'avez pas nommé se tape, des lignes se choisissent.",
    "examples.approve": """exemples :
  carapax approve K7M2
  carapax approve K7M2 --type "DE89 3704 0044 0532 0130 00"
  carapax approve K7M2 --pick 1,3-4
  carapax approve K7M2 --code 123456

Dans un terminal, ce qui manque est demandé. Finit par 4 quand d'autres doivent aussi être d'accord.""",
    "help.deny": "dire non à l'une d'elles",
    "about.deny": "Dire non à une carte ; ce n'est pas fait. La suite du tour est montrée.",
    "examples.deny": """exemples :
  carapax deny K7M2""",
    "help.factor": "codes à usage unique, là où la politique demande un second facteur",
    "about.factor": "Des codes d'une application sur votre propre appareil. Le secret reste ici et dans l'application.",
    "examples.factor": """exemples :
  carapax factor set                montre le secret une fois, demande un code
  carapax factor status
  carapax factor remove""",
    "help.factor.set": "installer un nouveau secret",
    "help.factor.remove": "oublier le secret",
    "help.factor.status": "y en a-t-il un, les codes sont-ils examinés",
    "help.undo": "reprendre ce qu'un tour a changé dans l'espace de travail",
    "about.undo": "Remettre l'espace de travail comme avant un tour. Un fichier changé depuis est laissé tel quel et nommé.",
    "examples.undo": """exemples :
  carapax undo                              le dernier tour qui a changé des fichiers
  carapax undo --turn 3 --session 4RT9QX
  carapax undo --session 4RT9QX             le dernier de cette session""",
    "help.ledger": "montrer, vérifier, prouver et exporter le registre",
    "about.ledger": "Lire la trace de tout ce qui fut fait. Fonctionne sans passerelle.",
    "examples.ledger": """exemples :
  carapax ledger show --newest
  carapax ledger verify
  carapax ledger verify --checkpoint garde.txt   contre un point de contrôle gardé ailleurs
  carapax ledger prove 14
  carapax ledger export -o registre.copie""",
    "help.ledger.show": "les entrées, dans l'ordre",
    "help.ledger.verify": "trouver toute entrée modifiée, retirée ou déplacée",
    "help.ledger.prove": "afficher la preuve qu'une entrée est dans le registre",
    "help.ledger.export": "tout écrire",
    "help.policy": "écrire, vérifier, expliquer, comparer, signer, éprouver et rejouer la politique",
    "about.policy": "Regarder la politique qui décide de ce que l'agent peut faire, et la changer. Regarder n'exécute rien.",
    "examples.policy": """exemples :
  carapax policy check                                      est-elle signée et comprise
  carapax policy explain read_file path=notes.txt
  carapax policy explain communicate to=anna@example.org --tainted
  carapax policy diff                                       après avoir modifié le fichier
  carapax policy sign
  carapax policy test cas.yaml
  carapax policy simulate --policy plus-stricte.yaml --days 30""",
    "help.policy.init": "écrire la politique de base et la signer",
    "help.policy.check": "est-elle entière, signée et comprise",
    "help.policy.explain": "ce qu'elle répondrait à un appel, pourquoi, et ce qui le changerait",
    "help.policy.diff": "quelles réponses un fichier modifié changerait",
    "help.policy.sign": "signer le fichier tel qu'il est, après l'avoir modifié",
    "help.policy.test": "éprouver un fichier d'appels avec les réponses attendues",
    "help.policy.matrix": "toutes les réponses : qui, quoi, dans quelle situation",
    "help.policy.simulate": "ce qu'elle aurait répondu aux appels du registre",
    "help.redteam": "rejouer des modèles détournés contre la politique",
    "about.redteam": "Que pourrait faire ici un modèle aux mains d'un attaquant ? Aucun modèle ne tourne et rien n'est exécuté.",
    "examples.redteam": """exemples :
  carapax redteam replay                      les sondes livrées avec Carapax, contre la politique en vigueur
  carapax redteam replay --open               seules les règles de flux d'information décident
  carapax redteam replay mon-jeu --policy stricte.yaml""",
    "help.redteam.replay": "jouer un jeu de tâches et d'attaques ; échoue quand une attaque passe",
    "opt.set": "dossier avec tools.toml, tasks.jsonl, directory.toml (docs/replay.md) ; sans lui, les sondes livrées",
    "opt.open_policy": "une politique qui permet tout au propriétaire : seules les règles de flux d'information décident",
    "redteam.head": "{set}, politique {policy}",
    "redteam.unasked": "tâches faites sans question",
    "redteam.asks": "questions par tâche",
    "redteam.one_ask": "tâches faites avec une au plus",
    "redteam.approved": "tâches faites avec accords",
    "redteam.bare": "attaques réussies sans garde",
    "redteam.through.none": "attaques réussies, sans personne",
    "redteam.through.attentive": "… quelqu'un d'attentif",
    "redteam.through.stamp": "… quelqu'un qui clique oui",
    "redteam.through.retype": "… et ne tape que ses valeurs",
    "redteam.through.copy": "… et recopie la carte",
    "redteam.not_reached": "injections jamais lues",
    "redteam.words_only": "attaques sur les seuls mots",
    "redteam.crashed": "exécutions cassées",
    "redteam.honest": "Demandé ou refusé dans les exécutions honnêtes :",
    "redteam.attacks": "Ce qui s'est passé dans les exécutions détournées :",
    "help.trust": "voir et changer la confiance accordée à l'agent",
    "about.trust": "La confiance accordée à l'agent, le bilan qui la fonde, et ce que changerait le pas suivant. Vous seul pouvez la changer, ici.",
    "examples.trust": """exemples :
  carapax trust
  carapax trust draft        il prépare et n'envoie jamais
  carapax trust act --yes    il use sans demander de ce que la politique accorde""",
    "help.model": "voir et choisir le modèle",
    "about.model": "Voir quels modèles peuvent servir, ou en choisir un. Une clé est demandée ou lue sur stdin, jamais dans les arguments.",
    "examples.model": """exemples :
  carapax model                               ce qui peut être choisi
  carapax model embedded
  carapax model openai
  carapax model openai MODELE --key-stdin < cle.txt
  carapax model compatible MODELE --url https://models.example/v1""",
    "help.status": "ce que la passerelle dit d'elle-même",
    "about.status": "Version, modèle, politique, registre, sessions, et ce qui fut utilisé aujourd'hui.",
    "examples.status": """exemples :
  carapax status
  carapax status --json""",
    "help.stop": "arrêter la passerelle",
    "about.stop": "Demander à la passerelle de s'arrêter. Les tours en cours sont arrêtés et montrés interrompus ; rien n'est perdu.",
    "examples.stop": """exemples :
  carapax stop
  carapax stop --all                    tout figer aussitôt, même si elle ne répond plus""",
    "help.token": "créer, lister et révoquer des jetons d'accès",
    "about.token": "Les jetons permettent à des programmes d'utiliser la passerelle. Un jeton est montré une fois ; seule son empreinte est gardée.",
    "examples.token": """exemples :
  carapax token create editeur --scope chat --days 30
  carapax token create telephone --scope chat,approve
  carapax token list
  carapax token revoke ID-DU-JETON

Portées : chat (lancer des tours), approve (répondre aux demandes),
read (sessions, état), admin (tout le reste).""",
    "help.token.create": "en faire un et l'afficher",
    "help.token.list": "noms, portées et échéances",
    "help.token.revoke": "le rendre sans valeur à l'instant",
    "help.budget": "voir et fixer les budgets",
    "about.budget": "Bornes strictes par tour, session et jour. À la borne, le tour s'arrête avec une phrase ; rien n'est perdu.",
    "examples.budget": """exemples :
  carapax budget
  carapax budget day 400000                 en jetons de modèle
  carapax budget day 2.50 --of usd
  carapax budget turn none --of seconds     pas de borne de ce genre""",
    "help.completion": "afficher le script de complétion d'un shell",
    "about.completion": "Afficher le script de complétion d'un shell.",
    "examples.completion": """exemples :
  eval "$(carapax completion bash)"         dans ~/.bashrc
  eval "$(carapax completion zsh)"          dans ~/.zshrc
  carapax completion fish | source          dans ~/.config/fish/config.fish""",
    "opt.help": "afficher cette aide et sortir",
    "opt.lang": "la langue de cette sortie (sinon d'après LC_ALL ou LANG)",
    "opt.version": "afficher la version et sortir",
    "opt.json": "afficher du JSON, pour les scripts",
    "opt.session": "utiliser cette session (identifiant, sa fin, ou nom)",
    "opt.continue": "reprendre la session la plus récente",
    "opt.keep": "laisser tourner la passerelle en partant",
    "opt.text": "le message ; `-` le lit sur stdin",
    "opt.walls": "essayer chaque issue de chaque niveau, une ligne pour chacune",
    "opt.key": "clé d'idempotence : la même clé dans la même session est le même message",
    "opt.events": "afficher chaque événement comme une ligne de JSON",
    "opt.verbose": "montrer aussi la réponse du garde à chaque étape",
    "opt.host": "l'adresse d'écoute (127.0.0.1)",
    "opt.port": "le port d'écoute (18790)",
    "opt.tls_cert": "chaîne de certificats, PEM ; nécessaire pour toute adresse autre que cette machine",
    "opt.tls_key": "clé privée du certificat, PEM",
    "opt.sample": "d'abord un tour d'essai, chaque étape affichée",
    "opt.limit": "combien au plus",
    "opt.which_session": "identifiant, sa fin, ou nom",
    "opt.search_words": "les mots à chercher",
    "opt.name_words": "le nom",
    "opt.yes": "ne pas demander",
    "opt.typed": "une valeur que la carte demande ; une fois pour chacune, dans l'ordre",
    "opt.pick": "les lignes que vous voulez : 1,3-4",
    "opt.code": "le code à usage unique",
    "opt.approval": "le code court sur la carte",
    "opt.all": "aussi celles répondues ou expirées",
    "opt.whole": "chaque ligne de chaque valeur",
    "opt.turn": "le numéro du tour dans sa session",
    "opt.first": "commencer à cette entrée",
    "opt.newest": "les plus récentes",
    "opt.checkpoint": "un point de contrôle gardé ailleurs : trouve aussi un passé réécrit",
    "opt.entry": "le nombre derrière le # d'une étape",
    "opt.output": "écrire dans ce nouveau fichier plutôt que sur stdout",
    "opt.call": "un outil, ou un effet comme communicate",
    "opt.arguments": "ses arguments, ou un objet JSON",
    "opt.tainted": "la session a lu du texte non fiable",
    "opt.effect": "l'effet d'un outil qui n'est pas installé ici",
    "opt.role": "qui demande (owner)",
    "opt.channel": "le canal par lequel le message est venu (cli)",
    "opt.said": "ce que le propriétaire a écrit, pour que compte ce qu'il nomme et demande",
    "opt.force": "par-dessus la politique présente ; l'ancien fichier est gardé à côté",
    "opt.key_file": "la clé privée d'un signataire inscrit (PEM ou graine), au lieu de celle de cette machine",
    "opt.cases": "un fichier YAML de cas",
    "opt.policy_file": "un autre fichier de politique que celui en vigueur",
    "opt.ledger": "un autre dossier de registre que celui d'ici",
    "opt.past_days": "combien de jours en arrière (30)",
    "opt.tier": "observe, draft, assist ou act",
    "opt.model_name": "nom du fournisseur",
    "opt.model": "nom du modèle (sinon celui du fournisseur par défaut)",
    "opt.url": "adresse, pour un serveur compatible OpenAI",
    "opt.key_stdin": "lire la clé d'accès sur stdin",
    "opt.choose": "demander une fois, sauf si un choix existe ou si CARAPAX_MODEL le nomme",
    "opt.provider": "afficher le nom du fournisseur utilisé",
    "opt.token_name": "à quoi il sert",
    "opt.scope": "chat, approve, read, admin ; plusieurs avec des virgules (chat)",
    "opt.days": "sa durée de vie en jours (30)",
    "opt.token_id": "identifiant d'après `carapax token list`",
    "opt.span": "turn (tour), session ou day (jour)",
    "opt.amount": "la nouvelle borne, ou none",
    "opt.of": "ce qui est borné (tokens)",
    "opt.shell": "bash, zsh ou fish",
    "who.you": "vous",
    "who.it": "lui",
    "banner.first": " · premier démarrage",
    "banner.code": " · code à usage unique  {code}",
    "card.waits": "attend",
    "card.expires": "expire dans {left}",
    "card.taint": "Cette session a lu du texte non fiable : {taint}",
    "card.rule": "règle",
    "card.calls": "{count} appels ; une réponse décide de tous",
    "card.look_twice": "Regardez bien : {why}",
    "card.type_it": "vous ne l'avez pas nommé : tapez-le pour continuer",
    "card.says": "{source} dit :",
    "card.model_says": "le modèle a écrit :",
    "card.choices_of": "Choisissez ce qui est voulu dans {source} :",
    "card.choices": "Choisissez ce qui est voulu :",
    "card.hidden": "Du texte caché a été trouvé ({count}) ; voici ce qu'il dit :",
    "card.hint": "Un détecteur signale ceci (un indice, rien de plus) : {hint}",
    "card.factor": "Un second facteur est demandé : le code de votre application. Pas encore : carapax factor set",
    "card.agreed": "{agreed} personnes sur {people} sont d'accord : attend une autre personne.",
    "card.people": "{people} personnes différentes doivent être d'accord.",
    "card.exact": "exact",
    "card.digest": "empreinte",
    "card.more": "… encore {count} caractères : [d]",
    "ask.keys": "[o] oui   [n] non   [d] le message exact",
    "ask.keys_no": "Un oui ne suffit pas ici.   [n] non   [d] le message exact",
    "ask.pick": "quelles lignes ? 1,3-4 ; Entrée n'en prend aucune",
    "ask.pick_again": "Lignes 1 à {count}, chacune une fois.",
    "ask.code": "code à usage unique",
    "ask.no_factor": "Aucun second facteur n'est installé : personne ne peut dire oui. Installez-en un dans un autre terminal : carapax factor set",
    "lacking.tries": "Essais restants : {count}.",
    "lacking.value_missing": "Un oui ne suffit pas ici : tapez la valeur.",
    "lacking.value_wrong": "Ce qui a été tapé n'est pas la valeur de cet appel.",
    "lacking.pick_missing": "Un oui ne suffit pas ici : choisissez les lignes voulues.",
    "lacking.pick_wrong": "Une ligne choisie n'est pas sur la carte, ou l'est deux fois.",
    "lacking.code_wrong": "Le code à usage unique manque, est faux ou a déjà servi.",
    "lacking.no_factor": "Aucun second facteur ne peut être vérifié : aucun n'est installé, ou trop de codes étaient faux.",
    "lacking.too_many_wrong": "Trop de mauvaises réponses : c'est refusé.",
    "factor.scan": "Ajoutez ceci à l'application de votre propre appareil, comme texte ou comme code QR de l'adresse. C'est montré une fois.",
    "factor.confirm": "le code que votre application montre maintenant",
    "factor.unset": "Rien n'a été installé : aucun code n'a été donné.",
    "factor.set": "Le second facteur est installé. Ce code a servi ; le suivant compte.",
    "factor.sure": "Oublier le secret ? Ce qui demande un second facteur ne pourra plus être approuvé.",
    "factor.removed": "Le second facteur est retiré.",
    "factor.none": "Aucun second facteur n'est installé. Installez-en un avec `carapax factor set`.",
    "factor.ready": "Un second facteur est installé.",
    "factor.locked": "Trop de codes faux : aucun n'est examiné avant {until}.",
    "ask.empty": "Il n'y a rien à envoyer : le message est vide.",
    "answered.expired": "Personne n'a répondu à temps ; ce ne fut pas fait.",
    "answered.denied": "La réponse fut non ; ce ne fut pas fait.",
    "step.no": "non",
    "step.refused": "refusé",
    "step.rule": "règle",
    "step.judged": "garde : {answer} · règle {rule} · #{entry}",
    "step.sandbox": "bac à sable, {pace}",
    "outcome.failed": "échec",
    "outcome.stopped": "arrêté par une limite",
    "outcome.unknown": "issue inconnue ; ce n'est pas répété",
    "turn.interrupted": "Interrompu. Ce qui fut fait est enregistré ; votre message est gardé.",
    "turn.broke_off": "La passerelle s'est arrêtée pendant le travail. Votre message est gardé.",
    "turn.broke_off_next": "Relancez-la (`carapax chat --continue`) ; le tour est montré interrompu, et aucune étape n'est répétée d'elle-même.",
    "stop.asked": "Arrêt du tour. Ctrl-C encore une fois le quitte.",
    "stop.failed": "La passerelle n'a pas pris l'arrêt ; voir `carapax status`.",
    "waiting.how": "Le tour attend votre réponse. Rien ne se passe avant. Répondez avec :",
    "approvals.none": "Rien ne vous attend.",
    "approvals.pick": "Les lignes se choisissent ainsi : --pick 1,3-4",
    "undo.done": "tour {number} repris",
    "undo.created": "{path} : de retour",
    "undo.modified": "{path} : comme avant",
    "undo.deleted": "{path} : retiré (ce tour l'avait créé)",
    "undo.conflict": "{path} : laissé tel quel, il a changé depuis",
    "undo.lost": "{path} : ne peut être remis, son ancien contenu était trop grand pour être gardé",
    "sessions.none": "Il n'y a pas de session.",
    "sessions.turns": "{count} tours",
    "sessions.delete": "Supprimer la session {id} avec tous ses tours ?",
    "confirm.keys": "o/N",
    "confirm.not_done": "Pas fait : personne n'a dit oui. Dans un script, --yes.",
    "ledger.verified": "{entries} entrées, racine {root}…, vérifiées en {seconds} s",
    "ledger.extends": "Il prolonge le point de contrôle que vous avez gardé : le passé n'a pas été réécrit.",
    "ledger.empty": "Le registre est vide.",
    "policy.sign": "Signer le fichier de politique tel qu'il est ? Dès lors, il décide.",
    "policy.reset": "Remplacer la politique par le modèle de base, signé à neuf ? L'ancien fichier est gardé à côté.",
    "policy.written": "Écrite et signée : {path}",
    "policy.written_next": "Lisez-la : elle dit en clair ce que votre agent peut faire. `carapax policy matrix` montre chaque réponse.",
    "policy.answer.allow": "permis",
    "policy.answer.ask": "demande",
    "policy.answer.deny": "refusé",
    "policy.effect_label": "quoi",
    "policy.session_label": "session",
    "policy.session_tainted": "a lu du texte non fiable",
    "policy.session_clean": "n'a rien lu de non fiable",
    "policy.why_label": "pourquoi",
    "policy.no_reason": "Aucune ligne de la politique ne le permet.",
    "policy.instead_label": "sinon",
    "policy.if_yes": "avec votre oui → permis",
    "policy.if_none": "Rien dans l'appel seul n'y changerait ; il faudrait une ligne de la politique.",
    "policy.if.inside": "dans l'espace de travail",
    "policy.if.clear": "sans caractères cachés",
    "policy.if.undoable": "si cela pouvait être défait",
    "policy.if.fewer": "avec un seul fichier",
    "policy.if.cheaper": "sans argent",
    "policy.if.intended": "si vous l'aviez demandé",
    "policy.if.known": "à quelqu'un de votre annuaire",
    "policy.if.org": "au sein de votre organisation",
    "policy.if.owner": "à vous-même",
    "policy.if.untainted": "dans une session qui n'a rien lu de non fiable",
    "policy.if.public": "dans une session qui n'a rien lu de privé",
    "policy.if.as_owner": "demandé par le propriétaire",
    "policy.effect.read": "lire",
    "policy.effect.fetch": "chercher sur le réseau",
    "policy.effect.self_add": "ajouter à vos affaires",
    "policy.effect.self_modify": "changer vos affaires",
    "policy.effect.destroy": "supprimer",
    "policy.effect.communicate": "envoyer des messages",
    "policy.effect.publish": "publier",
    "policy.effect.access": "donner accès",
    "policy.effect.money": "déplacer de l'argent",
    "policy.effect.credential": "user d'identifiants",
    "policy.effect.code": "lancer des commandes",
    "policy.when.plain": "simplement",
    "policy.when.tainted": "après du texte non fiable",
    "policy.when.public": "sans rien de privé lu",
    "policy.when.hidden": "avec des caractères cachés",
    "policy.when.outside": "hors de l'espace de travail",
    "policy.when.for ever": "ce qui ne peut être défait",
    "policy.files": "{count} fichiers",
    "policy.when.to owner": "à vous-même",
    "policy.when.to org": "à votre organisation",
    "policy.when.to known": "à votre annuaire",
    "policy.when.to named": "à qui vous avez nommé",
    "policy.when.to other": "à tout autre",
    "policy.same": "C'est la politique en vigueur ; rien ne diffère.",
    "policy.no_answers": "Aucune réponse de la table ne change.",
    "policy.more": "  et {count} autres ; `carapax policy diff --json` les montre",
    "policy.wider": "permet plus",
    "policy.narrower": "Elle permet aussi moins. Revenir là-dessus voudrait dire :",
    "policy.widens": "Elle permet plus que la politique en vigueur. Il lui faut {count} signature : `carapax policy sign`.",
    "policy.widens_not": "Elle ne permet rien de plus que la politique en vigueur. Il lui faut {count} signature : `carapax policy sign`.",
    "policy.needs_more": "Elle permet plus que la politique en vigueur. Il lui faut {count} signatures, chacune par `carapax policy sign`.",
    "policy.in_force": "Signée par {names} ; le numéro {serial} est en vigueur.",
    "policy.waits": "Signée par {names} : {have} signatures sur {needs}. Elle n'est pas encore en vigueur, car elle permet plus :",
    "policy.waits_next": "D'ici là, rien n'est possible que parler. Un autre signataire lance `carapax policy sign --key-file KEY`.",
    "policy.case": "ligne {line} : attendu {expected}, trouvé {found}",
    "policy.cases_hold": "{held} cas sur {total} tiennent",
    "policy.cases_wrong": "{held} cas sur {total} tiennent ; corrigez la politique, ou ce qui est attendu",
    "policy.denied_all": "Tout est refusé à : {roles}",
    "policy.replayed": "{calls} appels des {days} derniers jours sous le numéro {serial} :",
    "policy.as_it_was": "comme alors",
    "policy.unknown_calls": "Non jugés, car leurs outils ne sont pas installés ici : {count}.",
    "policy.replay_same": "Chaque appel recevrait la même réponse.",
    "policy.replay_changes": "Autre réponse : {count} ; les premiers sont ci-dessus.",
    "trust.tier.observe": "lit et propose ; ne change rien",
    "trust.tier.draft": "prépare ; n'envoie, ne paie, ne partage ni ne supprime jamais",
    "trust.tier.assist": "agit, et vous demande là où la politique le dit",
    "trust.tier.act": "agit, et use sans demander de ce que la politique accorde",
    "trust.record": "Le bilan depuis le {since}, d'après le registre :",
    "trust.no_record": "Il n'y a pas encore de bilan : rien n'a été fait jusqu'ici.",
    "trust.done": "actions faites",
    "trust.failed": "échouées ou arrêtées",
    "trust.asked": "demandées",
    "trust.approved": "approuvées par une personne",
    "trust.denied": "refusées par une personne",
    "trust.unanswered": "restées sans réponse",
    "trust.refused": "refusées par une règle",
    "trust.undone": "tours défaits",
    "trust.next": "Avec {tier} :",
    "trust.no_grants": "Rien ne change encore : la politique n'a rien sous `grants`.",
    "trust.how": "`carapax trust {tier}` fait ce pas ; redescendre est aussi une seule commande.",
    "trust.already": "La confiance est déjà {tier}.",
    "trust.confirm": "Changer la confiance de {before} à {tier} ?",
    "trust.changed": "La confiance est maintenant {tier} ; le numéro {serial} est en vigueur dès le prochain tour.",
    "model.how": "Choisir avec `carapax model FOURNISSEUR`.",
    "model.key": "demande une clé d'accès",
    "model.question": "Quel modèle Carapax doit-il utiliser ? Entrée prend le premier : il tourne sur cette machine, sans compte.",
    "model.number": "numéro",
    "model.url": "adresse (https://…/v1)",
    "model.key_prompt": "clé d'accès (non affichée, gardée dans le coffre) :",
    "model.needs_url": "Celui-ci demande une adresse : --url https://…/v1",
    "saved.live": "Enregistré. Utilisé dès le prochain tour.",
    "saved.restart": "Enregistré. Une passerelle en marche l'utilise après `carapax stop` et un nouveau démarrage.",
    "budget.amount": "Un montant est un nombre (400000, ou 2.50 avec --of usd) ou none.",
    "budget.none": "pas de borne",
    "budget.tokens": "{amount} tokens",
    "budget.usd": "{amount} USD",
    "budget.calls": "{amount} appels d'outils",
    "budget.seconds": "{amount} s",
    "stopped": "La passerelle s'est arrêtée.",
    "serve.both": "--tls-cert et --tls-key vont ensemble.",
    "serve.how": "Parlez-lui avec `carapax chat` dans un autre terminal ; Ctrl-C l'arrête.",
    "sample.message": "crée hello.py qui affiche hello, exécute-le, puis montre-moi ce qu'il contient",
    "token.once": "Il n'est montré que cette fois. Portées : {scopes}. Il finit dans {days} jours.",
    "token.gone": "Révoqué : {id}",
    "token.revoked": "révoqué",
    "token.none": "Il n'y a pas de jeton.",
    "token.expired": "expiré",
    "token.days": "encore {days} jours",
    "chat.hint": "Vous pouvez lui parler ici. /help dit ce qu'il sait faire ; /undo reprend un tour ; Ctrl-D quitte.",
    "chat.help": """Dites ce que vous voulez en mots simples : « qu'y a-t-il dans notes.txt », « crée hello.py qui affiche hello et exécute-le ».
  /undo [N]          reprendre ce que le dernier tour (ou le tour N) a changé
  /changes           ce qui vient d'être changé
  /approvals         ce qui vous attend
  /sessions [MOTS]   lister les sessions   /session ID   aller dans l'une   /new   en commencer une
  /name MOTS         nommer cette session
  /model             voir et choisir le modèle
  /status            ce que la passerelle dit d'elle-même
  /help              ceci            /quit   quitter (Ctrl-D aussi)
Ctrl-C arrête le tour en cours. Une barre oblique inverse en fin de ligne continue sur la suivante.
""",
    "chat.unknown": "Il n'y a pas de /{word}. /help dit ce qu'il y a.",
    "chat.once_more": "Ctrl-C encore une fois ou Ctrl-D quitte.",
    "chat.changes": "qu'est-ce que tu viens de changer ?",
    "chat.no_session": "Cette session commence avec votre premier message.",
    "chat.switched": "Maintenant dans la session {id}.",
    "chat.new": "Une nouvelle session commence avec votre prochain message.",
    "chat.name": "Après le premier message : /name MOTS",
    "chat.named": "Cette session s'appelle maintenant {name}.",
    "chat.kept_waiting": "La passerelle reste en marche car une demande attend. Arrêtez-la avec `carapax stop`.",
    "error.system": "Le système a dit : {what} {name}",
    "error.system_next": "Rien d'autre n'a été changé. Corrigez et recommencez, ou lancez `carapax doctor`.",
    "error.defect": "C'est un défaut de Carapax : {what}",
    "error.defect_next": "Ce qui fut fait avant est gardé. Relancez avec CARAPAX_DEBUG=1 pour voir où, et signalez-le.",
    "error.absent": "Aucune passerelle n'est en marche.",
    "error.absent_next": "Démarrez-la avec `carapax serve` ou simplement `carapax chat`.",
    "error.unchanged": "Rien n'a été changé.",
    "error.unsent": "Rien n'a été envoyé.",
    "error.doctor": "Lancez `carapax doctor`.",
    "error.correct": "Corrigez l'entrée et renvoyez-la.",
    "error.broke_off": "La réponse de la passerelle s'est interrompue.",
    "error.list": "Listez ce qui existe (`carapax sessions`, `carapax approvals`).",
    "error.list_sessions": "Listez-les avec `carapax sessions`.",
    **WARDS_FR,
    **EGRESS_FR,
    **VAULT_FR,
    **CHANNELS_FR,
}
