"""How words point at things without writing them out: "every", prefixes, sources, delegation, links, continuation.

Layer: core/intent. Pure reading of words; what they resolve to is computed by `core/flow` from records.
Absent: superlatives (`superlatives`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from carapax.core.flow.tokens import tokens
from carapax.core.intent.clauses import Sentence
from carapax.core.intent.grammar import NOUNY, bag
from carapax.core.intent.superlatives import NARROWS, lies_in_part, next_word, strip_breaks
from carapax.core.intent.verbs import VERBS
from carapax.core.terms.plan import Some

_EVERY = bag("all each every tous toutes chaque tout toute both any")
_EVERYONE = {"everyone": "people", "everybody": "people", "everything": "things"}
_TOUT_LE_MONDE = ("tout", "le", "monde")
_GLOB = re.compile(
    r"(?<![\w.*/])\*?(\.[A-Za-z][A-Za-z0-9]{0,7})(?=\s+(?:files?|ones?|documents?|images?)\b|[\s,;]|$|[.!?](?:\s|$))"
)
_GLOB_FR = re.compile(
    r"(?:fichiers?|documents?|images?|ending (?:in|with)|finissant (?:par|en)|en) \*?(\.[A-Za-z][A-Za-z0-9]{0,7})(?!\w)",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"(?:(?:start|begin)(?:s|ning|ting|ing)?\s+(?:with|by)|commen(?:çant|cant|ce|cent)\s+par|d[ée]but(?:ant|e|ent)\s+par"
    r"|prefixed\s+(?:with|by)|"
    r"named\s+like)\s+(?:the\s+(?:word|letters?|text|prefix)\s+)?(?:[\"'“‘«]\s?([^\"'”’»\n]{1,80}?)\s?[\"'”’»]|(?!(?:an?|the"
    r"|capital|lower|upper|my|it|this|that|some|letter)\b)([^\s,;\"'“]{1,80}))",
    re.IGNORECASE,
)
_SOURCES = re.compile(
    r"(?<!\w)(?:based on|according to|as per|mentioned in|described in|specified in|listed in|given in|found in|stated in"
    r"|written in|indicated in|noted in|"
    r"detailed in|contained in|included in|provided in|outlined in|laid out in|from the|from my|in the|in my|in an?|in this"
    r"|in that|in the attached|using the|per the|see the|"
    r"with the (?:data|details|information|info|values?|numbers?) (?:in|from)|d'après|selon|sur la base (?:de|du|des)"
    r"|à partir (?:de|du|des)|"
    r"mentionné[es]* dans|indiqué[es]* dans|décrit[es]* dans|du|dans (?:le|la|les|mon|ma|mes)|from) ",
    re.IGNORECASE,
)
_OBEY = re.compile(
    r"(?<!\w)(?:"
    r"(?:do|perform|execute|handle|complete|carry out|follow|process|take care of|work through|go through|tackle|address|obey"
    r"|finish|action)\s+(?:\w+[ ,]+){0,4}?"
    r"(?:instructions?|actions?|tasks?|steps?|to-?dos?|todo list|to-?do list|action items?|directions|guidelines|procedure"
    r"|requests?|checklist)(?!\w)"
    r"|(?:do|follow|handle|perform|execute|obey|implement)\s+(?:exactly |just |all |everything |anything )?(?:what|whatever"
    r"|everything|as|that|all)(?:ever)?\s+(?:\w+(?:'s)?\s+){0,6}?"
    r"(?:says?|said|asks?|asked|wants?|requests?|requested|tells?|suggests?|needs?|requires?|described|instructed|asking)(?!\w)"
    r"|(?:do|handle|complete) (?:everything|all) (?:in|on|from) "
    r"|(?:details|instructions|steps|tasks|specifics|what to do|everything you need|the rest|requirements|directions) (?:are|is"
    r"|can be found|should be|will be) (?:all )?(?:in|on|at|from|inside) "
    r"|(?:find|see|get|read) (?:the |more |all |further )?(?:details|instructions|specifics|requirements) (?:in|on|at|from|inside) "
    r"|(?:follow|do) (?:it|them) (?:exactly|to the letter)|as (?:it|he|she|they|the \w+) (?:says?|instructs?|asks?|requests?)"
    r"|accordingly|(?:whatever|what) (?:it|he|she|they) (?:asks?|wants?|says?)(?: for| to do)?"
    r"|(?:fais|faites|exécute|suis|suivez|applique|appliquez|effectue|réalise|traite)\s+(?:exactement |tout )?(?:ce que?(?: "
    r"|')(?:\w+ ){0,5}?(?:dit|demande|disent|veut|écrit|demandent|indique)"
    r"|ce qui est (?:écrit|demandé|indiqué)|(?:les|mes|ses|toutes les|tous les) (?:instructions?|consignes?|tâches?|étapes?|actions?))"
    r"|en conséquence)",
    re.IGNORECASE,
)
_HERE = re.compile(r"(?<!\w)(?:following|below|these|suivantes?|ci-dessous)(?!\w)", re.IGNORECASE)
"""Instructions that stand in the owner's own words."""
_LINKS = re.compile(
    r"(?<!\w)(?:"
    r"(?:articles?|links?|websites?|web ?pages?|pages?|blogs?|sites?|urls?|liens?|hyperlinks?"
    r"|blog posts?)(?:\s+\w+){0,4}?\s+(?:posted|shared|mentioned|sent|linked|dropped|gave|recommended|listed|put|"
    r"posts?|shares?|partagés?|envoyés?|mentionnés?|postés?|partagé|envoyé|posté)(?!\w)"
    r"|(?:posted|shared|mentioned|sent|linked|dropped|recommended) (?:\w+ ){0,3}?(?:articles?|links?|websites?|urls?|pages?)(?!\w)"
    r"|(?:the|any|each|every|all|these|those|les|des|le|un) (?:\w+ )?(?:links?|urls?|liens?)(?!\w)"
    r"|(?:links?|urls?|websites?|articles?|liens?|webpages?) (?:in|from|on|inside|dans|du|de la|de son|de sa) (?:the|my|his|her"
    r"|their|that|this|le|la|son|sa|mon|ma|\w+'s|\w+)"
    r"|(?:info|information|details|profiles?|bio|content) (?:is|are|lies|can be found|found|available|posted) (?:on|at) (?:his|her"
    r"|their|the|its|a|\w+'s) (?:\w+ )?(?:website|site|page|blog|webpage|homepage)"
    r"|(?:his|her|their|its|\w+'s) (?:personal |own |company )?(?:website|site|blog|web ?page|homepage)(?!\w))",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"(?<!\w)(?:refund|refunds|refunding|reimburse|get(?:\s+\w+){0,4}?\s+money back|repay|repays|(?:send|pay|give|transfer"
    r"|wire)(?:ing)?(?:\s+[^\s.!?]+){0,5}?\s+back|"
    r"return(?:ing)?\s+(?:\w+\s+){0,3}?(?:money|payment|amount|deposit|difference|cash|\d[\d.,]*)|rembourse[rsz]?|remboursez"
    r"|rends?(?:\s+\S+){0,3}\s+argent)(?!\w)",
    re.IGNORECASE,
)
_AGAIN_WORDS = bag(
    "yes yep yeah ok okay sure do it go on ahead please continue proceed confirm confirmed correct "
    "right exactly fine perfect good great that's that thats is "
    "sounds agreed approved again now then thanks thank you with this keep going yup alright all "
    "absolutely definitely of course "
    "oui vas y vas-y d accord daccord continue continuez encore parfait merci exactement confirme confirmez bien "
    "sûr sur fais le fais-le c est ça ca bon ouais allez-y allez"
)
_AGAIN_KEYS = bag(
    "yes yep yeah yup ok okay sure go continue proceed confirm confirmed agreed approved again it's do oui vas "
    "continue continuez encore accord daccord confirme allez"
)
_AGAIN_START = re.compile(
    r"\s*(?:(?:and|et|now|ok|oui|yes|then|also|please|puis)[, ]+)*(?:do |fais |please )?(?:the same|same (?:for|with|thing)|"
    r"(?:now )?the (?:second|third|other|next|last|rest|others)(?: one| ones)?(?: too| as well|,|$| please)|"
    r"the (?:second|third|other) one too|la même chose|le même|pareil|idem|ditto|likewise|(?:le|la) (?:deuxième|troisième|second"
    r"|seconde|suivant) aussi|"
    r"one more|again|encore)(?!\w)",
    re.IGNORECASE,
)
_AGAIN_MAX = 12


def find_every(sentences: Sequence[Sentence]) -> frozenset[str]:
    """The nouns under "all", "each", "every" that nothing narrows, in both numbers."""
    found: set[str] = set()
    for each in _quantified(sentences):
        if not each.adjectives and not each.by_author:
            found.update(both_numbers(each.noun))
    for sentence in sentences:
        words = strip_breaks(sentence.spoken)
        found.update(_EVERYONE[word] for word in words if word in _EVERYONE)
        if any(words[i : i + 3] == _TOUT_LE_MONDE for i in range(len(words))):
            found.add("people")
    return frozenset(found)


def find_some(sentences: Sequence[Sentence]) -> tuple[Some, ...]:
    """What "all", "each", "every" means where adjectives or an author narrow it, and nothing else does."""
    return tuple(dict.fromkeys(each for each in _quantified(sentences) if each.adjectives or each.by_author))


def _quantified(sentences: Sequence[Sentence]) -> Iterator[Some]:
    for sentence in sentences:
        words = sentence.spoken
        for i, word in enumerate(words):
            if word in _EVERY and (found := _read_noun(words, i + 1)) is not None:
                yield found


def _read_noun(words: Sequence[str], i: int) -> Some | None:
    """The noun after at most two adjectives, with what narrows it; None when something unknown does."""
    i = next_word(words, i)
    run: list[str] = []
    for k, word in enumerate(words[i : i + 3]):
        if (
            (word in _STOPS and word not in _STATES)
            or word in (",", ":")
            or word.startswith("0")
            or (k and word in VERBS and word not in _NAMES)
        ):
            break
        run.append(word)
    if not run:
        return None
    after = list(words[i + len(run) : i + len(run) + 8])
    by_author = after[:1] == ["from"]
    rest = after[1:] if by_author else after
    if not by_author and rest[:1] and rest[0] in _NARROWING and not (_is_whole(rest) or _is_told(rest)):
        return None
    if by_author and any(word in NARROWS for word in _clause(rest)):
        return None
    return Some(run[-1], tuple(run[:-1]), by_author)


def _clause(words: Sequence[str]) -> Sequence[str]:
    end = next((i for i, word in enumerate(words) if word in (",", ":", "and", "then", "et", "puis")), len(words))
    return words[:end]


def _is_told(after: Sequence[str]) -> bool:
    """ "All users that lunch is ready": what they are told, not which of them."""
    return (
        after[0] in ("that", "que")
        and len(after) > 1
        and after[1] not in VERBS
        and after[1] not in _RELATIVE_VERBS
        and not after[1].endswith("ed")
    )


def _is_whole(after: Sequence[str]) -> bool:
    """ "In my inbox", "on the drive": a place that holds all there are narrows nothing."""
    return after[0] in ("in", "on", "dans", "sur", "of") and any(word in _WHOLES for word in after[1:4])


_STOPS = NARROWS | bag(
    "i you he she they we je tu il nous vous the a an le la les un une have has do does did can will "
    "would to for in on of and or is are was were by it them my posted shared sent mentioned received "
    "listed from into il de du des dans sur et ou à au par please "
    "ending starting commençant as comme"
)
_NARROWING = NARROWS | bag(
    "in on of for about by mentioned posted shared sent received listed named called labeled labelled tagged matching ending "
    "marked assigned related belonging created made older newer larger smaller dans sur de du des pour au aux par nommés"
)
_NAMES = NOUNY | bag(
    "message messages mail mails email emails post posts order orders note notes file files invite invites transfer transfers "
    "call calls report reports task tasks test tests request requests comment comments"
)
_STATES = bag("unread open")
_RELATIVE_VERBS = bag(
    "wrote sent made came got left gave paid bought said took went are is was were have has had did do does can could will would may might "
    "should contain i you we they he she"
)
_WHOLES = bag(
    "drive cloud inbox mailbox workspace calendar account disk computer slack company office boîte agenda compte"
)


def both_numbers(word: str) -> tuple[str, ...]:
    """The word with its singular or plural."""
    if word.endswith("ies") and len(word) > 4:
        return word, word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word, word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word, word[:-1]
    if word.endswith("y") and word[-2:-1] not in tuple("aeou"):
        return word, word[:-1] + "ies"
    irregular = {
        "person": "people",
        "people": "person",
        "man": "men",
        "child": "children",
        "branch": "branches",
        "inbox": "inboxes",
    }
    return word, irregular.get(word, word + "s")


def find_prefixes(text: str) -> tuple[str, ...]:
    """What names must start with, as written; "*.tmp" for endings."""
    found = [quoted or bare for quoted, bare in _PREFIX.findall(text)]
    for pattern in (_GLOB, _GLOB_FR):
        found += ["*" + end[1] for end in pattern.finditer(text) if not _is_part(text, end.start(), end.end())]
    return tuple(
        dict.fromkeys(p for p in (p.strip().rstrip(".!?") if not p.startswith("*") else p for p in found) if p)
    )


_SENTENCE = re.compile(r"[.!?](?=\s|\Z)|\n|\b(?:then|puis)\b", re.IGNORECASE)


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether the words around "all .tmp files" say that only some of them are meant: "in the cache folder", "except b.tmp"."""
    begin = max((cut.end() for cut in _SENTENCE.finditer(text, 0, start)), default=0)
    last = next((cut.start() for cut in _SENTENCE.finditer(text, end)), len(text))
    before, after = tokens(text[begin:start]), tokens(text[end:last])
    runs = [run[i : i + 6] for run in (before, after) for i in range(len(run))]
    return any(lies_in_part(run) for run in runs) or any(word in NARROWS for word in after)


def find_pointers(text: str) -> Iterator[str]:
    """The words right after each phrase that points at a source."""
    for found in _SOURCES.finditer(text):
        yield text[found.end() : found.end() + 60].split("\n")[0]


def delegates(text: str) -> bool:
    """Whether a text is to be obeyed, or to give the values."""
    return any(not _HERE.search(found.group()) for found in _OBEY.finditer(text))


def follows_links(text: str) -> bool:
    """Whether links, articles or sites that lie in a named place are to be read."""
    return _LINKS.search(text) is not None


def gives_back(text: str) -> bool:
    """Whether money is to be given back."""
    return _BACK.search(text) is not None


def is_continuation(text: str, words: Sequence[str]) -> bool:
    """Whether the text only confirms or goes on with what was asked before; at most 12 words."""
    if not words or len(words) > _AGAIN_MAX:
        return False
    if all(word in _AGAIN_WORDS for word in words):
        return bool(_AGAIN_KEYS & set(words))
    return _AGAIN_START.match(text) is not None
