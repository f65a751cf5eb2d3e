"""French words of the way out."""

from __future__ import annotations

EGRESS_FR = {
    "help.egress": "ce qui est sorti, ce qui a été refusé et pourquoi, autoriser un hôte",
    "about.egress": "La sortie des commandes et des outils, requête par requête. La section `egress` de la politique dit où ils peuvent "
    "aller ; ce qui n'y figure pas est refusé. Fonctionne sans passerelle.",
    "examples.egress": """exemples :
  carapax egress log --refused
  carapax egress why https://pypi.org/project/
  carapax egress why https://api.example/v1 --method POST
  carapax egress allow                   des lignes pour ce qui a été refusé, rien n'est changé
  carapax egress allow --review          de même, et pose la question pour chacune
  carapax egress allow api.example""",
    "help.egress.log": "ce qui est sorti et ce qui a été refusé, le plus récent à la fin",
    "help.egress.why": "quelle ligne répond à une requête, et ce qui l'autoriserait",
    "help.egress.allow": "des lignes pour les hôtes refusés ; chacune est écrite après votre oui",
    "opt.egress_session": "cette session seulement (la fin de son identifiant suffit)",
    "opt.egress_url": "l'adresse, comme https://pypi.org/project/",
    "opt.refused": "seulement ce qui a été refusé",
    "opt.egress_tool": "l'outil qui demande (run_online)",
    "opt.method": "la méthode (GET)",
    "opt.hosts": "ces hôtes, comme api.example ou api.example:8443",
    "opt.review": "passer en revue tout ce qui a été refusé et demander pour chacun",
    "opt.refused_days": "sur combien de jours regarder en arrière (7)",
    "egress.nothing": "Rien de tel.",
    "egress.tool": "outil",
    "egress.tool_asks": "{tool} demande à une personne chaque fois : la ligne {rule} le dit.",
    "egress.tool_denied": "{tool} ne peut pas tourner du tout : {rule}. Une ligne sous egress seule n'y change rien.",
    "egress.would": "Cette ligne sous `egress` l'autoriserait (`carapax egress allow HÔTE` en écrit une) :",
    "egress.none_refused": "Rien n'a été refusé ces {days} derniers jours qu'une ligne pourrait autoriser.",
    "egress.refused": "refusé {count} fois, la dernière le {last}",
    "egress.never": "pas encore demandé",
    "egress.confirm": "Autoriser {host} ainsi ?",
    "egress.how": "Rien n'a été changé. `carapax egress allow --review` pose la question pour chacune.",
    "egress.ask_here": "Rien n'a été changé : personne ne peut être interrogé ici. Lancez-le dans un terminal.",
    "egress.allowed": "{count} lignes de plus sous egress. La politique porte maintenant le numéro {serial}.",
}
