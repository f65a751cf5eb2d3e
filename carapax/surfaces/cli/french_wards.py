"""French words of the incidents, canaries and the stop of everything."""

from __future__ import annotations

WARDS_FR = {
    "help.incident": "ce qui a été figé, pourquoi, et en décider",
    "about.incident": "Quand quelque chose dépasse les limites du disjoncteur, ou qu'un secret planté sert, la session est figée et "
    "vous attend. Regarder et exporter se font sans passerelle ; une décision est d'abord écrite au registre.",
    "examples.incident": """exemples :
  carapax incident                      tous, le plus récent d'abord
  carapax incident show 7               ce qui s'est passé, comment, avec quels processus
  carapax incident export 7 -o cas.tar    tout ce qui s'y rapporte, à vérifier ailleurs
  carapax incident resume 7             le laisser continuer
  carapax incident kill 7               y mettre fin ; la session reste fermée
  carapax incident keep 7               le laisser figé, pour qui l'examinera""",
    "help.incident.list": "tous, le plus récent d'abord",
    "help.incident.show": "ce qui s'est passé, comment, avec quels processus",
    "help.incident.export": "un fichier avec les pièces et leurs preuves",
    "help.incident.resume": "le laisser continuer",
    "help.incident.kill": "mettre fin à ce qui tourne ; la session reste fermée",
    "help.incident.keep": "le laisser figé, pour qui l'examinera",
    "opt.incident": "le numéro de l'incident",
    "opt.incident_output": "écrire dans ce nouveau fichier (incident-N.tar sinon)",
    "incident.none": "Il n'y a pas eu d'incident.",
    "incident.session": "Session {session}",
    "incident.everything": "Tout est",
    "incident.state.open": "figé autant que possible",
    "incident.state.frozen": "figé",
    "incident.state.resumed": "repris",
    "incident.state.killed": "terminé",
    "incident.state.kept": "conservé",
    "incident.how": "comment",
    "incident.stopped": "arrêté",
    "incident.after": "{ms} ms après le signal ; {jobs} tâches en cours figées",
    "incident.not_all": "après {ms} ms ; tout n'a pas pu être figé",
    "incident.now": "suite",
    "incident.look": "voir : carapax incident show {number} · resume · kill · keep",
    "incident.rule": "règle",
    "incident.entry": "registre",
    "incident.problem": "problème",
    "incident.note": "note",
    "incident.decided": "décision",
    "incident.processes": "processus tels qu'ils ont été figés (pid, parent, commande)",
    "incident.exported": "Écrit dans {name} ({size} octets). Il contient la conversation : gardez-le comme elle.",
    "incident.confirm_resume": "Laisser continuer ce que l'incident {number} a figé ?",
    "incident.confirm_kill": "Mettre fin à ce que l'incident {number} a figé ?",
    "incident.confirm_keep": "Conserver ce que l'incident {number} a figé ?",
    "incident.done_resume": "Incident {number} : cela continue.",
    "incident.done_kill": "Incident {number} : terminé. La session reste fermée ; une nouvelle est libre.",
    "incident.done_keep": "Incident {number} : cela reste figé.",
    "help.canary": "des secrets plantés dont seul un voleur se sert",
    "about.canary": "Les secrets plantés ressemblent aux vrais et n'ouvrent rien. Celui qui sert fige aussitôt sa session et dit "
    "par où. En lire un est compté, sans plus : vous pouvez chercher dans vos fichiers en paix.",
    "examples.canary": """exemples :
  carapax canary                        où ils sont
  carapax canary add ssh cles/ancienne   en planter un de plus dans l'espace de travail
  carapax canary add aws --handle s3-ancien
  carapax canary remove file/.aws-backup.env""",
    "help.canary.list": "où ils sont, jamais leurs valeurs",
    "help.canary.add": "en planter un dans un fichier de l'espace de travail, ou dans le coffre",
    "help.canary.remove": "en retirer un, avec ce qui a été planté",
    "opt.canary_kind": "à quoi il ressemble : aws, database, ssh, token ou env",
    "opt.canary_path": "un nouveau fichier dans l'espace de travail",
    "opt.canary_handle": "un nouveau nom dans le coffre au lieu d'un fichier",
    "opt.canary_name": "son nom, tel que la liste le donne",
    "canary.where": "Dites où : un nouveau fichier dans l'espace de travail, ou --handle NOM pour le coffre.",
    "canary.added": "Planté : {name}",
    "canary.removed": "Retiré : {name}",
    "canary.none": "Il n'y a pas de canaris.",
    "canary.gone": "n'y est plus",
    "canary.note": "gardé pour la mémoire de l'agent, qui n'existe pas encore",
    "canary.confirm": "Retirer le canari {name}, avec ce qui a été planté ?",
    "opt.stop_all": "tout figer aussitôt et durablement, même si la passerelle ne répond plus",
    "stopall.done": "Tout est arrêté : {jobs} tâches en cours terminées, en {ms} ms.",
    "stopall.proxy": "La sortie est fermée : le mandataire de sortie a été terminé.",
    "stopall.no_gateway": "Aucune passerelle ne tourne. Celle qui démarre n'exécute rien avant la levée.",
    "stopall.stuck": "La passerelle ne répond pas : on ignore où elle bloque. Ses tâches sont terminées ; elle n'en lance plus.",
    "stopall.turns": "La passerelle a arrêté {turns} tours.",
    "stopall.unrecorded": "Cela n'a pas pu être écrit au registre.",
    "stopall.lift": "`carapax resume --all` le lève.",
    "help.resume": "lever l'arrêt de tout",
    "about.resume": "Après `carapax stop --all`, rien ne s'exécute et rien ne sort avant que vous ne le leviez ici.",
    "examples.resume": """exemples :
  carapax resume --all""",
    "opt.resume_all": "tout ce que `carapax stop --all` a arrêté",
    "resume.which": "Dites `carapax resume --all`, ou `carapax incident resume N` pour un incident.",
    "resume.nothing": "Rien n'est arrêté ici.",
    "resume.confirm": "Laisser tout continuer ?",
    "resume.alone": "Aucune passerelle ne tourne : ceci n'est pas au registre.",
    "resume.done": "Tout peut continuer.",
}
