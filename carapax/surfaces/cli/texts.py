"""The words of the command line, in English and French.

Layer: surfaces/cli. Owns choosing the language and filling in values. The two catalogues are `english` and `french`;
a test compares their keys and the values each sentence takes.
"""

from __future__ import annotations

from carapax.surfaces.cli.english import ENGLISH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = ("en", "fr")


class Texts:
    """Call it with a key and the values: `t("undo.done", number=3)`. An unknown key is a defect and raises KeyError."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words: Mapping[str, str] = ENGLISH
        if language == "fr":
            from carapax.surfaces.cli.french import FRENCH

            self._words = FRENCH

    def __call__(self, key: str, /, *places: object, **values: object) -> str:
        text = self._words[key]
        return text.format(*places, **values) if places or values else text

    def has(self, key: str) -> bool:
        """Whether the catalogue has this sentence."""
        return key in self._words

    def known(self, english: str) -> str:
        """The sentence in this language when the catalogue has it, else as it is."""
        if self.language == "en":
            return english
        return next((self._words[key] for key, text in ENGLISH.items() if text == english), english)


def find_language(asked: str, env: Mapping[str, str]) -> str:
    """`--lang`, else the locale (LC_ALL, LC_MESSAGES, LANG), else English."""
    locale = next((env[k] for k in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(k)), "")
    given = (asked or locale)[:2].lower()
    return given if given in LANGUAGES else "en"
