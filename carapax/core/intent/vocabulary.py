"""Verbs and the nouns around them, English and French, and the effects they ask for. Data only.

Layer: core/intent. A frame holds when its verb is requested and its conditions on the words around the verb hold;
a request's effects are the union of its frames. Nouns are written without accents.
Absent: names of tools and products' own terms; those come with the manifests.
"""

from __future__ import annotations

from dataclasses import dataclass

from carapax.core.terms.action import Effect

TELL = frozenset({Effect.COMMUNICATE})
POST = frozenset({Effect.COMMUNICATE, Effect.PUBLISH})
ADD = frozenset({Effect.SELF_ADD, Effect.SELF_MODIFY})
MAKE = ADD | {Effect.CODE}
EDIT = frozenset({Effect.SELF_MODIFY})
ERASE = frozenset({Effect.DESTROY, Effect.SELF_MODIFY})
PAY = frozenset({Effect.MONEY, Effect.SELF_MODIFY, Effect.SELF_ADD})
OPEN = frozenset({Effect.ACCESS})
JOIN = frozenset({Effect.ACCESS, Effect.COMMUNICATE})
LOGIN = frozenset({Effect.CREDENTIAL})
WEB = frozenset({Effect.FETCH})
RUN = frozenset({Effect.CODE})


@dataclass(frozen=True, slots=True)
class Frame:
    """Verbs and what they ask for: `near` any of these words around, `also` any of these too, `into` after a "to", `unless` none."""

    verbs: str
    effects: frozenset[Effect]
    near: str = ""
    also: str = ""
    into: str = ""
    unless: str = ""


MONEY_NOUNS = (
    "0money payment payments transfer transfers standing debit money cash rent salary deposit "
    "virement virements loyer "
    "paiement paiements prelevement argent transaction transactions"
)
TRADE_NOUNS = (
    "order orders booking bookings reservation reservations subscription subscriptions flight flights "
    "hotel ticket tickets "
    "membership trip stay ride rental purchase commande abonnement vol billet billets table chambre "
    "cart taxi insurance policy plan"
)
BOOKABLE = (
    "appointment appointments reservation reservations booking bookings rendez rdv rendezvous table "
    "room hotel ticket tickets "
    "flight flights taxi cab uber train seat seats spot slot court car massage haircut checkup "
    "chambre vol billet billets consultation viewing"
)
TEXT_NOUNS = (
    "file files spreadsheet summary report csv document doc note notes chart overview 0file fichier "
    "tableau rapport resume folder "
    "script list liste presentation memo reminder rappel template budget"
)
MEET_NOUNS = (
    "meeting meetings call event events appointment lunch dinner breakfast brunch coffee sync session "
    "interview invite invites "
    "catchup standup workshop party reunion rdv rendez dejeuner diner evenement visio entretien "
    "drinks demo onboarding review"
)
WITH_WORDS = (
    "with avec participants participant attendees attendee guests guest invitees between 0mail "
    "everyone everybody team "
    "colleagues for convie pour"
)
PEOPLE = (
    "participants participant members member collaborators collaborator attendees attendee guests "
    "guest viewer editor admin "
    "administrator moderator maintainer reviewer owner user users colleague contributor 0mail 0handle "
    "invitee invitees assignee "
    "participante participantes membre membres administrateur"
)
GROUPS = (
    "channel channels group groups team server workspace organisation organization org repo "
    "repository project thread chat room "
    "meeting event invitation call board family canal groupe equipe serveur reunion evenement salon "
    "depot 0channel party mailing newsletter"
)
THINGS = (
    "task tasks issue file files note notes line item items card bug comment label todo row column "
    "entry image photo document "
    "link section event reminder milk tache fichier ligne commentaire feature readme agenda "
    "description title tag topic"
)
ACCESS_NOUNS = (
    "access permission permissions rights role roles admin administrator editor viewer collaborator "
    "owner ownership visibility "
    "privileges acces droits droit moderator maintainer sharing public private partage"
)
LOGIN_NOUNS = (
    "password passwords passcode passphrase pin pincode 2fa mfa credentials credential token key keys "
    "secret otp totp passe cle cles jeton "
    "identifiants login authenticator authentication factor passkey"
)
MAIL_NOUNS = (
    "email emails mail mails message messages sms text texts note letter dm reply response answer "
    "invite invitation fax "
    "courriel courriels reponse lettre mot memo feedback apology condolences newsletter heads"
)
WEB_NOUNS = (
    "web internet online google site sites website websites webpage webpages page pages url urls link "
    "links blog wikipedia news "
    "wiki 0url weather meteo ligne forecast nouvelles actualites article articles duckduckgo bing homepage lien liens"
)
PUBLIC_NOUNS = (
    "post tweet blogpost blog website webpage page site review issue pr pull request release story "
    "reel ad listing announcement "
    "comment publication annonce avis commentaire billet gist bug question poll article"
)
DRAFT_NOUNS = "draft drafts brouillon file document 0file template txt folder locally"
