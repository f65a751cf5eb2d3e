"""English or French? A guess by small words, enough to fix the language of a reply.

Layer: agent/small; pure. Absent: other languages (they get the English profile).
Law: total; ties go to the words before, then to English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class Language(StrEnum):
    ENGLISH = "en"
    FRENCH = "fr"


_FRENCH = frozenset(
    re.findall(
        r"\S+",
        """le la les un une des du de et est es ce cette ces que qui quoi quel quelle quels quelles dans avec pour sur sous par pas
    mon ma mes ton ta tes son sa ses notre votre nos vos je tu il elle nous vous ils elles moi toi lui fichier fichiers dossier
    crée cree créer creer écris ecris écrire montre montrer lis lire affiche afficher cherche trouve supprime efface renomme
    ajoute modifie remplace change lance exécute exécuter combien reste y a-t-il au aux ou où comment pourquoi bonjour salut
    merci peux peut fais faire dis dire mot mots ligne lignes disque heure as ai était sont puis ensuite oui non svp""",
    )
)
_ENGLISH = frozenset(
    re.findall(
        r"\S+",
        """the a an and is are was were what which who how why where when in on with for of to from my your his her our their i you
    he she we they me it this that these those do does did can could please file files folder directory create make write read
    show list find search delete remove rename move add append edit change replace run execute print disk free space time word
    hello hi hey thanks thank just there all any much many not then yes no tell say give have has""",
    )
)
_ELISION = re.compile(r"\b(?:qu|[ldjmtscn])['’]\w", re.IGNORECASE)
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|«[^»]*»|\S*[./_]\w\S*")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


def find_language(texts: Iterable[str]) -> Language:
    """The language of the newest text that shows one; `texts` newest first."""
    for text in texts:
        bare = _QUOTED.sub(" ", text)
        words = [word.lower() for word in _WORD.findall(bare)]
        french = sum(word in _FRENCH for word in words) + 2 * len(_ELISION.findall(bare))
        french += sum(any(letter in "éèêàùçôîûœ" for letter in word) for word in words)
        english = sum(word in _ENGLISH for word in words)
        if french != english:
            return Language.FRENCH if french > english else Language.ENGLISH
    return Language.ENGLISH
