"""What the page says, in English and French.

Layer: adapters/channels/web; pure. Both have the same names.
"""

from __future__ import annotations

ENGLISH = {
    "lang": "en",
    "write": "Write a message",
    "send": "Send",
    "attach": "Attach a file",
    "empty": "Write a message to begin. What you write goes to this agent and to nobody else.",
    "typing": "is writing…",
    "you": "You",
    "offline": "Not connected. It tries again by itself; nothing is lost.",
    "unsent": "Not sent. Your message is still here: press Send again.",
    "too_large": "This file is larger than 10 MB. Choose a smaller one.",
    "slow": "That was a lot at once. Wait a minute, then go on.",
    "noscript": "This chat needs JavaScript. It loads nothing from any other site.",
    "chosen": "Chosen",
    "remove": "Remove",
}
FRENCH = {
    "lang": "fr",
    "write": "Écrire un message",
    "send": "Envoyer",
    "attach": "Joindre un fichier",
    "empty": "Écrivez un message pour commencer. Ce que vous écrivez va à cet agent et à personne d'autre.",
    "typing": "écrit…",
    "you": "Vous",
    "offline": "Pas de connexion. Un nouvel essai se fait tout seul ; rien n'est perdu.",
    "unsent": "Non envoyé. Votre message est toujours là : appuyez de nouveau sur Envoyer.",
    "too_large": "Ce fichier dépasse 10 Mo. Choisissez-en un plus petit.",
    "slow": "Cela faisait beaucoup à la fois. Attendez une minute, puis continuez.",
    "noscript": "Ce chat a besoin de JavaScript. Il ne charge rien d'aucun autre site.",
    "chosen": "Choisi",
    "remove": "Retirer",
}


def texts_of(french: bool) -> dict[str, str]:
    """A copy of one language's texts."""
    return dict(FRENCH if french else ENGLISH)
