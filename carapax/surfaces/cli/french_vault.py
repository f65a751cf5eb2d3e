"""French words of `carapax vault`."""

from __future__ import annotations

VAULT_FR = {
    "help.vault": "garder des secrets scellés et dire où chacun peut servir",
    "about.vault": "Un secret est scellé ici et joint à une requête au dernier moment, là où il est lié et nulle part "
    "ailleurs. Ni l'agent ni ses outils ne le voient. Les valeurs viennent d'une saisie masquée ou de l'entrée standard, "
    "jamais d'un argument.",
    "examples.vault": """exemples :
  carapax vault set github --bind api.github.com     demande la valeur
  carapax vault set svc --bind api.example.org --header x-api-key < cle.txt
  carapax vault list                     noms, lieux permis, dernier usage
  carapax vault bind github github.com --prefix "token "
  carapax vault rotate github            l'ancienne valeur est gardée jusqu'à --confirm
  carapax vault import .env              y déplacer les valeurs d'un fichier, en laissant leurs noms
  carapax vault protect --passphrase     personne ne l'ouvre sans vous
  carapax vault audit github             chaque requête avec laquelle il est parti""",
    "help.vault.set": "garder un secret, ou en remplacer un",
    "help.vault.list": "noms, lieux, âge et dernier usage ; jamais une valeur",
    "help.vault.rotate": "une nouvelle valeur ; l'ancienne est gardée jusqu'à confirmation",
    "help.vault.bind": "permettre un secret auprès de ces hôtes aussi",
    "help.vault.unbind": "retirer un hôte à un secret, ou tous",
    "help.vault.remove": "oublier un secret et ses liens",
    "help.vault.import": "déplacer les valeurs d'un fichier .env dans le coffre",
    "help.vault.protect": "choisir ce qui ouvre le coffre, et lui donner une clé neuve",
    "help.vault.unlock": "donner sa phrase secrète au coffre en marche",
    "help.vault.audit": "ce que le registre dit d'un secret",
    "opt.vault_name": "le nom du secret : a-z, 0-9, '.', '_' et '-'",
    "opt.vault_oauth": "un jeton qui se renouvelle ; JSON sur l'entrée standard (docs/formats/vault.md)",
    "opt.vault_remote": "il reste dans HashiCorp Vault ou OpenBao, à PATH ou PATH#FIELD",
    "opt.vault_bind": "le permettre auprès de HOST ou HOST:PORT ; répétable",
    "opt.vault_place": "HOST ou HOST:PORT, exact",
    "opt.vault_host": "cet hôte seulement",
    "opt.vault_header": "l'en-tête où il est envoyé (authorization)",
    "opt.vault_prefix": "ce qui le précède là ('Bearer ' dans authorization, sinon rien)",
    "opt.vault_path": "seulement sous ce chemin",
    "opt.vault_method": "seulement avec cette méthode ; répétable",
    "opt.vault_body": "il peut aussi se trouver dans le corps d'une requête",
    "opt.vault_confirm": "la nouvelle valeur marche : oublier l'ancienne",
    "opt.vault_back": "elle ne marche pas : revenir à l'ancienne",
    "opt.vault_file": "un fichier de lignes NAME=valeur",
    "opt.vault_keep": "laisser cette variable dans le fichier ; répétable",
    "opt.vault_delete": "enlever les lignes au lieu d'y laisser vault:NOM",
    "opt.vault_passphrase": "une phrase secrète, demandée à chaque démarrage (`carapax vault unlock`)",
    "opt.vault_systemd": "une clé que systemd scelle à cette machine et à sa TPM",
    "opt.vault_machine": "un fichier de clé à côté, lisible par son propriétaire seul",
    "vault.passphrase": "la phrase secrète du coffre (masquée) :",
    "vault.new_passphrase": "nouvelle phrase secrète (masquée) :",
    "vault.again": "encore une fois :",
    "vault.differs": "Elles diffèrent ; rien n'a été changé.",
    "vault.value": "la valeur de {name} (masquée) :",
    "vault.oauth_how": "Collez le JSON (endpoint, client_id, client_secret, refresh_token), puis Ctrl-D.",
    "vault.kept": "{name} est scellé.",
    "vault.replaced": "{name} est scellé à nouveau.",
    "vault.bind_how": "Il ne sert encore nulle part : carapax vault bind {name} HOST",
    "vault.none": "Le coffre est vide. `carapax vault set NAME` garde un secret.",
    "vault.age": "posé {age}",
    "vault.used": "utilisé {when}",
    "vault.never": "jamais",
    "vault.today": "aujourd'hui",
    "vault.days": "il y a {days} j",
    "vault.unbound": "lié nulle part, donc utilisé nulle part",
    "vault.waiting": "L'ancienne valeur est gardée. Terminez par carapax vault rotate {name} --confirm, ou --back.",
    "vault.locked": "Verrouillé : cette liste n'est pas vérifiée et aucun secret ne sert. `carapax vault unlock`",
    "vault.source.machine": "Sa clé est un fichier sur le même disque : qui copie le disque a les deux. "
    "Mieux : carapax vault protect --systemd, ou --passphrase.",
    "vault.source.systemd": "Sa clé est scellée par systemd à cette machine.",
    "vault.source.passphrase": "Sa clé est votre phrase secrète ; après un démarrage : carapax vault unlock.",
    "vault.confirmed": "La valeur d'avant de {name} est oubliée.",
    "vault.back": "{name} a de nouveau sa valeur d'avant.",
    "vault.rotated": "{name} a une nouvelle valeur.",
    "vault.bound": "{name} peut servir auprès de :",
    "vault.unbound_from": "{name} : {count} liens retirés.",
    "vault.sure": "Oublier {name} pour de bon ?",
    "vault.removed": "{name} est oublié.",
    "vault.imported": "{count} valeurs déplacées hors de {file} ; ses anciens octets sont écrasés.",
    "vault.stayed": "Restées en l'état : {names}",
    "vault.import_next": "Liez ce qui doit servir : carapax vault bind NAME HOST. Renouvelez ce que d'autres ont pu lire.",
    "vault.protected": "Le coffre a une clé neuve, et chaque secret est dessous.",
    "vault.unlocked": "Le coffre en marche est ouvert.",
    "vault.pending": "(bientôt)",
    "vault.no_trace": "Le registre ne le nomme pas.",
    "vault.moved_in": "{count} secrets étaient en clair dans des fichiers ; ils sont scellés, et les fichiers effacés : {names}",
}
