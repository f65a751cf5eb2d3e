"""The small words that make a verb a request, a question, a negation or a mention; English and French. Data only.

Layer: core/intent. Phrases are rewritten to marks before a sentence is read: `0please` asks, `0canyou` asks unless the
sentence is a question, `0not` negates, `0be` lets a participle ask ("should be sent"), `0ing` an "-ing", `0inf` an infinitive.
"""

from __future__ import annotations


def bag(words: str) -> frozenset[str]:
    """The words of a text parted by blanks."""
    return frozenset(words.split())


PHRASES: tuple[tuple[str, str], ...] = (
    (
        "contact",
        "get back to|reach out to|get in touch with|follow up with|follow up on|touch base "
        "with|circle back to|circle back with|check in with|"
        "fais suivre|faites suivre|faire suivre|reprends contact avec|prends contact avec",
    ),
    (
        "inform",
        "loop in|fill in for|bring up to speed|mets au courant|mettez au courant|tiens au "
        "courant|tenez au courant|fais savoir à",
    ),
    (
        "also",
        "note that|please note that|keep in mind that|bear in mind that|be aware that|sachez que|notez que|note que",
    ),
    (
        "0be",
        "should be|must be|needs to be|need to be|has to be|have to be|ought to be|to be|should "
        "get|doit être|doivent être|"
        "à être|devrait être|devraient être|shall be|please be",
    ),
    (
        "0ing",
        "would you mind|do you mind|how about|what about|start by|begin by|start with|by|i'd "
        "appreciate you|i would appreciate you|"
        "appreciate you|assist me in|assist me with|assist with|help with|consider|go on to|needs|go ahead with",
    ),
    (
        "0please",
        "please|pls|plz|svp|stp|se il te plait|se il te plaît|se il vous plait|se il vous plaît|kindly|don't forget to|"
        "dont forget to|do not forget to|never forget to|don't hesitate to|do not hesitate to|make sure that you|"
        "make sure you|make sure to|make sure that|make sure|be sure to|feel free to|go ahead and|remember to|"
        "why don't you|why not|let's|lets|let us|i want you to|i need you to|i'd like you to|i would like you to|"
        "i'd love you to|could someone|can someone|could somebody|would it be possible to|is it possible to|"
        "would it be possible for you to|is it possible for you to|is there a way to|is there any way to|"
        "any chance you could|do you think you could|do you think you can|your task is to|your job is to|"
        "the task is to|the goal is to|task is to|help me to|help me|help us|you need to|you should also|try to|"
        "try and|ne oublie pas de|ne oubliez pas de|ne oublie surtout pas de|ne hésite pas à|ne hésitez pas à|pense à|"
        "pensez à|merci de|prière de|veuillez|veuille|assure toi de|assurez vous de|je veux que tu|je voudrais que tu|"
        "je aimerais que tu|je souhaite que tu|il faut que tu|il faudrait que tu|je voudrais que vous|"
        "je aimerais que vous|il faudrait que vous|je veux que vous|aide moi à|aidez moi à|fais en sorte de",
    ),
    (
        "0canyou",
        "i want to|i need to|i'd like to|i would like to|i'd love to|i wish to|we need to|we want to|we'd like to|"
        "we have to|we must|we should|i must|i have to|i've got to|i gotta|"
        "could you|can you|would you|will you|can't you|couldn't you|won't you|you can|you could|you "
        "should|you must|you may|you might|you will|you'll|"
        "you have to|you first have to|you first need to|you'll have to|you'll need to|you will need to|"
        "are you able to|you would|can we|could we|shall we|may we|tu peux|tu "
        "pourrais|peux tu|pourrais tu|pouvez vous|pourriez vous|"
        "vous pouvez|vous pourriez|peut on|pourrait on|on peut|on pourrait|tu dois|vous devez|est ce "
        "que tu|est ce que vous",
    ),
    (
        "0inf",
        "je veux|je voudrais|je aimerais|je souhaite|je souhaiterais|je dois|nous devons|on doit|il "
        "faut|il faudrait|faut|faudrait|"
        "je ai besoin de|nous voulons|il est possible de|est il possible de|y a il moyen de|commence "
        "par|il est temps de|essaie de|essaye de",
    ),
    (
        "0not",
        "do not|don't|dont|does not|doesn't|must not|mustn't|should not|shouldn't|shall not|will "
        "not|won't|can not|cannot|can't|"
        "there is no need to|there's no need to|no need to|need not|needn't|not to|without|instead "
        "of|rather than|refrain from|avoid|never|"
        "stop short of|ne|sans|au lieu de|plutot que de|plutôt que de|évite de|évitez de|evite "
        "de|inutile de|pas besoin de|surtout pas",
    ),
)

FILLERS = bag(
    "also then now next first firstly second secondly third thirdly fourth fifth finally lastly "
    "afterwards after that just simply ok okay hey hi hello "
    "yes yeah yep sure great thanks thank you well so if immediately quickly automatically again "
    "directly maybe perhaps possibly instead "
    "likewise both either do actually still once even too additionally furthermore moreover afterward "
    "step task todo once done "
    "accordingly carefully briefly politely urgently asap today tomorrow tonight "
    "alors ensuite enfin maintenant aussi bonjour salut abord dabord vite également egalement oui "
    "merci apres après cela donc vas peux "
    "immédiatement rapidement aussitôt demain puis a an i ii iii iv b c d e"
) - {"a", "an", "that", "if", "do", "you", "once", "done", "cela"}
"""Words that may stand between the start of a clause and its verb."""

CLITICS = bag("le la les lui leur me te nous vous y en se l us ever even yet all")
OBJECTS = bag("le la les lui leur me nous en")
"""French objects that stand before their verb."""

CONJUNCTIONS = bag("and then but or nor plus et puis mais ou ni ensuite while")
OR_WORDS = frozenset({"or", "nor", "ou", "ni"})

WH = bag(
    "what which who whom whose when where why how qui quoi quel quelle quels quelles quand où comment "
    "combien pourquoi que lequel laquelle "
    "whats whos wheres"
)
AUXILIARIES = bag(
    "do does did is are was were am has had isn't aren't wasn't weren't didn't hasn't haven't doesn't "
    "should would can could may might will shall est sont "
    "ai as ont avons avez"
)
BARE_QUESTION = bag("do does did should")
SUBJECTS = bag("i you he she it they we there anyone someone je tu il elle on nous vous ils elles")
RELATIVES = bag(
    "that which who whom whose where what how why whether if because since qui que dont où lorsque quand when"
)
LEADS = bag("in on for from at with under within dans sur pour depuis chez avec à au aux")

BLOCKERS = bag(
    "forgot forget forgotten used asked told wanted wants asks tells tried trying tries refused "
    "promised supposed how where when what "
    "whether invited because allowed due going planned decided agreed offered offers hoping hopes "
    "seems seemed failed managed "
    "looking planning thinking remember remembers reminded expected able ready oublié demandé voulu voulait veut "
    "demande essayé promis comment où quand"
)
"""After these, "to" and an infinitive are somebody's wish or memory, not a request."""

OPTIONS = bag(
    "link links way ways button option options instructions steps code page form ability right rights "
    "reason reasons plan plans chance attempt "
    "wish desire deadline offer permission decision promise need place site guide tool tools script "
    "function bot how place lien bouton moyen "
    "droit raison envie"
)
"""Nouns whose "to" and infinitive says what they are for: "the link to reset it"."""

CONTENT_NOUNS = bag(
    "text line lines message subject body content contents description title note caption comment "
    "texte ligne lignes sujet corps "
    "contenu titre objet saying reads says say words word phrase sentence headline items named called nommé appelé"
)
"""Before a colon, these announce text to be written, not something to be done."""

CONTENT_MARKS = bag("saying says disant stating telling asking explaining reading indiquant expliquant")
TASK_NOUNS = bag(
    "task tasks todo todos reminder reminders note ticket issue alarm event item entry card rappel tâche tache évènement action"
)
SAYING = bag(
    "remind tell ask inform text message email mail notify warn write say request let call contact "
    "phone answer reply respond "
    "rappeler dire demander prévenir écrire informer avertir appeler noter note"
)
"""Verbs whose "to" and infinitive is what somebody is told."""

PRONOUNS = bag("it them this that these those one ones him her le la les lui leur ça ca cela")
NOTHING = bag("nothing nobody none no rien pas jamais personne aucun aucune")
ELSE = bag("else other others except besides autre autres sauf")
GENERIC = bag(
    "it them this that these those one anything anyone anybody any thing something nothing yet now "
    "today for me us ever "
    "please 0please at all either though to in and or the a of just really until i say so tell you "
    "confirm before rien le la les lui leur encore pas "
    "tout de suite maintenant à personne plus toi ça cela ne que sans mon accord my ok okay approval "
    "permission first "
    "email emails mail mails message messages invitation invitations invite invites payment payments "
    "money people anybody's moment "
    "actually already out back again here there still instead"
)
"""What a general "don't send it yet" consists of; another word in it makes it particular ("don't send it to Carla")."""

NOUNY = bag(
    "email mail message text post book order change invite purchase comment report test call note "
    "contact rent tip file record log "
    "plan update request draft list review mark share charge tag label search document check visit "
    "sort count format star "
    "transfer track download upload schedule track run train design plot play commande note mail "
    "poste liste copy set "
    "tweet ring ping bid wire release push ship group pin trade brief page store open follow cancel "
    "start stop program "
    "light lock export import patch point touch water dm access host value close archive reserve ban "
    "block like lettre rapport filter "
    "research annonce abonne keep score drop shoot place rate name save split sign process claim stay "
    "work end clear empty log find "
    "table answer respond relay hail top turn switch leave broadcast"
)
"""Verbs that are nouns as well: they ask only before something that can be their object."""

NOT_OBJECT = bag(
    "from of is was are were has have had says said that which who whose status history number "
    "numbers id ids recommendations "
    "about by and or et ou de du qui que est sont should must needs can could will would did does "
    "contains mentions says , : ; ( ) "
    "did went came got looks seems address addresses reads between payment payments reminder reminders"
)
STANDALONE = bag(
    "reply answer respond order share cancel test run sort commit search close archive check copy stop save"
)
"""These ask also with nothing after them."""

PARTICIPLE_TAIL = bag("to for back off with asap now before until immediately , in on at à pour avant , into as")
