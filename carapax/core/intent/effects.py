"""From requests to effects: the frames that hold, request by request, in the order of the text.

Layer: core/intent. Owns the exceptions that no frame can say: telling the asker is no message, a general "don't send it"
takes an effect back, a link is a page to open, a question about sizes needs computing.
Law: a denied request never adds an effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from carapax.core.intent import grammar
from carapax.core.intent.clauses import Request, Sentence, find_requests
from carapax.core.intent.grammar import bag
from carapax.core.intent.verbs import FRAMES, Rule, plain
from carapax.core.terms.action import Effect

_OWN = frozenset({Effect.READ, Effect.SELF_ADD, Effect.SELF_MODIFY, Effect.CODE})
_ME = bag("me us myself moi nous")
_TO_ME = bag(
    "tell ask remind let inform warn alert notify answer brief update give keep get show respond "
    "reply confirm say report make "
    "dire rappeler prévenir informer avertir répondre demander confirmer donner signaler"
)
"""Said to the one who asks, these are answered in the reply itself."""
_WITH = frozenset(("with", "avec"))
_FORMAT = bag("in with briefly only using concisely yes shortly as just if based and en avec par")
_ANSWERS = bag("answer respond reply répondre report")
_TO = bag("to into onto in à au aux dans as")
_QUANTITY = (
    ("how", "many"), ("how", "big"), ("how", "large"), ("how", "much", "space"), ("how", "much", "disk"), ("disk",), ("disque",),
    ("installed",), ("installé",), ("installée",), ("combien",), ("version", "of"), ("version", "de"), ("cpu",), ("uptime",), ("ram",),
    ("taille",), ("largest",), ("biggest",), ("smallest",), ("longest",), ("plus", "gros"), ("plus", "grand"), ("plus", "lourd"), ("lines",),
)  # fmt: skip
_LIVE = bag("weather forecast météo meteo")
_ONLINE = (
    ("on", "internet"),
    ("on", "the", "internet"),
    ("on", "the", "web"),
    ("sur", "internet"),
    ("sur", "le", "web"),
    ("en", "ligne"),
    ("online",),
)
_PUTS = bag("put make list post mettre publier share sell write create upload")
_SHOWS = bag("tell show give check look find get see dire donner regarder vérifier chercher")
_ARTICLES = bag("le la les")
_AFTER_PRONOUN = bag("à a au en pour par et puis avec sur dans de 0please")
_MINE = bag("my this these the those following question questions ma mes la les cette ces")
_VIA = bag("0ing by via per par")
_VIA_WHAT = bag("mail email sms message courriel slack whatsapp text texto teams signal telegram phone")
_TERSE = bag("email mail message sms text mot note courriel dm")
_SMALL = bag("a an quick short new un une petit courte 0please")
_FINITE = grammar.AUXILIARIES | bag("has had got came sent wrote said posted shared get gets be been i")
_BOOKED = bag("table tickets ticket taxi room billets billet")


def plan_effects(sentences: Iterable[Sentence]) -> frozenset[Effect]:
    """The effects that the sentences ask for; READ is always among them."""
    effects = {Effect.READ}
    topic: frozenset[str] = frozenset()
    for sentence in sentences:
        requests = find_requests(sentence)
        for request in requests:
            found, around = request_effects(request, topic)
            if not request.negated:
                effects |= found
                topic = around
            elif _is_general(request):
                effects -= _taken_back(request, found)
        effects |= _asides(sentence, requests)
        topic = topic if requests else frozenset(sentence.words)
    return frozenset(effects)


def request_effects(request: Request, topic: frozenset[str]) -> tuple[frozenset[Effect], frozenset[str]]:
    """What one request asks for, and the words it is about, for a later "it"."""
    own = frozenset((*request.after, *request.before))
    around = own | topic if _refers(request.after) else own
    views = [words | {plain(word) for word in words} for words in dict.fromkeys((own, around))]
    into = _destination(request.after)
    effects: set[Effect] = set()
    for verb in request.verbs:
        if not _is_naming(verb, request.after):
            found = {
                effect
                for rule in FRAMES[verb]
                if any(_holds(rule, near, into) for near in views)
                for effect in rule.effects
            }
            effects |= found - {Effect.COMMUNICATE} if _is_answer(verb, request.after) else found
    return frozenset(effects), around


def _refers(after: Sequence[str]) -> bool:
    """Whether the object is an earlier one: "it", or nothing; a French article before its noun is none."""
    if not after:
        return True
    article = after[0] in _ARTICLES and len(after) > 1 and after[1] not in _AFTER_PRONOUN
    return after[0] in grammar.PRONOUNS and not article


def _holds(rule: Rule, near: frozenset[str], into: frozenset[str]) -> bool:
    if rule.unless & near or (rule.also and not rule.also & near):
        return False
    if rule.near and rule.near & near:
        return True
    if rule.into:
        return bool(rule.into & into)
    return not rule.near


def _destination(after: Sequence[str]) -> frozenset[str]:
    """The words right after each "to" or "into"; `0person` when a "to" follows the verb at once."""
    found = {"0person"} if after and after[0] in ("to", "à") else set()
    for i, word in enumerate(after):
        if word in _TO:
            found.update(plain(w) for w in after[i + 1 : i + 6])
    return frozenset(found)


def _is_naming(verb: str, after: Sequence[str]) -> bool:
    """The verb means something else here: naming, thanking or showing the one who is asked or asks."""
    first = after[0] if after else ""
    if verb == "call":
        return first in ("it", "them", "this") or "0file" in after[:3]
    if verb in ("share", "partager") and any(a in _WITH and b in _ME for a, b in pairwise(after)):
        return True
    return (verb == "thank" and first == "you") or (verb == "let" and first in _ME)


def _is_answer(verb: str, after: Sequence[str]) -> bool:
    first = after[0] if after else ""
    if verb in _TO_ME and first in _ME:
        return True
    if verb in _ANSWERS:
        asked = bool({"question", "questions", "following"} & set(after[:5])) and first in _MINE
        return (asked or first in _FORMAT or first == "") and not _to_somebody(after)
    return False


def _to_somebody(after: Sequence[str]) -> bool:
    return "to" in after or "à" in after


def _is_general(request: Request) -> bool:
    words = set(request.after)
    return not words & grammar.ELSE and words <= grammar.GENERIC


def _taken_back(request: Request, found: frozenset[Effect]) -> frozenset[Effect]:
    everything = {"anything", "nothing", "rien"} & set(request.after)
    return found if everything and found <= _OWN - {Effect.READ} else found - _OWN


def _asides(sentence: Sentence, requests: Sequence[Request]) -> set[Effect]:
    """What a sentence asks for beyond its verbs: a link, something live, a computed answer, a note without a verb."""
    words = sentence.words
    present = frozenset(words)
    if "0not" in present:
        return set()
    found: set[Effect] = set()
    verbs = {verb for request in requests for verb in request.verbs}
    online = any(present.issuperset(phrase) and _has(words, phrase) for phrase in _ONLINE) and not verbs & _PUTS
    live = bool(_LIVE & present) and (not requests or bool(verbs & _SHOWS))
    if "0url" in present or online or live:
        found.add(Effect.FETCH)
    if any(present.issuperset(phrase) and _has(words, phrase) for phrase in _QUANTITY):
        found.add(Effect.CODE)
    if any(not request.negated for request in requests) and not sentence.question and _names_channel(words):
        found.add(Effect.COMMUNICATE)
    if not requests and not sentence.question and not _FINITE & present:
        found |= _terse(words)
    return found


def _has(words: Sequence[str], phrase: tuple[str, ...]) -> bool:
    first, size = phrase[0], len(phrase)
    return any(word == first and tuple(words[i : i + size]) == phrase for i, word in enumerate(words))


def _names_channel(words: Sequence[str]) -> bool:
    return any(a in _VIA and b in _VIA_WHAT for a, b in pairwise(words))


def _terse(words: Sequence[str]) -> set[Effect]:
    """ "Report to Anna by mail please", "table for two tonight": a note that has no verb at all."""
    if _names_channel(words):
        return {Effect.COMMUNICATE}
    start = [word for word in words[:6] if word not in _SMALL and not word.isdigit()]
    if len(start) > 1 and start[0] in _TERSE and start[1] in ("to", "à"):
        return {Effect.COMMUNICATE}
    if len(start) > 1 and start[0] in _BOOKED and start[1] in ("for", "to", "pour", "à"):
        return {Effect.MONEY}
    return set()
