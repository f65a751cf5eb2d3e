"""English verbs and what they ask for, in groups by effect. Data only; layer: core/intent."""

from __future__ import annotations

from carapax.core.intent.vocabulary import (
    ACCESS_NOUNS,
    ADD,
    BOOKABLE,
    DRAFT_NOUNS,
    EDIT,
    ERASE,
    GROUPS,
    JOIN,
    LOGIN,
    LOGIN_NOUNS,
    MAIL_NOUNS,
    MAKE,
    MEET_NOUNS,
    MONEY_NOUNS,
    OPEN,
    PAY,
    PEOPLE,
    POST,
    RUN,
    TELL,
    TEXT_NOUNS,
    THINGS,
    TRADE_NOUNS,
    WEB,
    WEB_NOUNS,
    WITH_WORDS,
    Frame,
)
from carapax.core.terms.action import Effect

ENGLISH: tuple[Frame, ...] = (
    # to somebody
    Frame(
        "send email mail forward fwd notify inform invite contact dm cc bcc warn congratulate "
        "apologize apologise alert",
        TELL,
    ),
    Frame("deliver nudge brief rsvp message text submit propose convey relay page wish greet", TELL),
    Frame("text message ping phone ring call contact greet thank remind ask tell answer respond reply", TELL),
    Frame("let", TELL, near="know"),
    Frame("drop", TELL, near="line"),
    Frame("say write drop shoot leave hand pass", TELL, near="0mail 0handle " + MAIL_NOUNS, unless=DRAFT_NOUNS),
    Frame("give", TELL, near="call ring shout heads notice update feedback buzz"),
    Frame(
        "write",
        TELL,
        into="0person 0mail him her them bob team boss landlord support",
        unless=DRAFT_NOUNS + " file disk folder",
    ),
    Frame("keep", TELL, near="posted informed updated loop"),
    Frame("report escalate confirm", TELL, into=PEOPLE + " boss team support police 0person manager him her them"),
    Frame(
        "accept decline reject approve deny turn",
        TELL | EDIT,
        near="invitation invite request offer application meeting leave proposal candidate friend event timesheet",
    ),
    Frame("assign mention tag delegate", TELL | EDIT, unless="variable value label"),
    Frame(
        "schedule create set plan arrange organize organise add put make fix hold start host book",
        TELL | ADD,
        near=MEET_NOUNS,
        also=WITH_WORDS,
    ),
    Frame(
        "create make prepare compose write do",
        TELL,
        near="email emails mail invitation invite sms dm reply",
        into="0person 0mail him her them all everyone team",
        unless=DRAFT_NOUNS,
    ),
    Frame("request", TELL),
    Frame(
        "submit file lodge raise open create log report",
        POST,
        near="ticket issue complaint bug claim pr pull feature",
        unless="read list show txt 0file",
    ),
    Frame("unsubscribe", TELL | ERASE),
    Frame(
        "subscribe enroll enrol register sign rsvp join", TELL | ADD, unless="out in off document contract key commit"
    ),
    Frame(
        "react vote upvote like follow unfollow rate endorse",
        TELL | EDIT,
        unless="instructions steps link links recipe guide guidelines directions it",
    ),
    # to the world
    Frame("post publish tweet retweet blog announce repost broadcast upload crosspost", POST),
    Frame("comment", POST, unless="out code function line lines"),
    Frame("push deploy release merge ship", POST | MAKE, unless="back notification button parcel package box"),
    Frame(
        "write create make leave add put build open start launch",
        POST,
        near="tweet website webpage review blog blogpost landing listing ad pr pull discussion poll wiki",
        unless="draft code script function file 0file parser scraper",
    ),
    Frame(
        "create make add write put",
        POST,
        near="page issue comment post release gist",
        also=(
            "on at github gitlab site website repo repository online facebook linkedin twitter forum "
            "board ticket 0url wiki thread"
        ),
        unless="draft",
    ),
    Frame("put make set", EDIT | {Effect.PUBLISH, Effect.ACCESS}, near="online public"),
    Frame("list put offer advertise", POST, near="sale"),
    Frame("leave", POST, near="comment comments feedback", unless="code"),
    Frame(
        "apply",
        TELL,
        near="job position role visa program grant scholarship school loan mortgage internship university course",
    ),
    Frame("submit", POST, near="review form comment pr patch paper"),
    # away
    Frame(
        "delete remove erase wipe trash discard purge empty uninstall bin shred prune dismiss "
        "unpublish expunge destroy eliminate deactivate terminate nuke unfriend",
        ERASE,
    ),
    Frame(
        "clear drop kill stop flush",
        ERASE,
        near=(
            "cache history inbox trash calendar schedule agenda queue basket cart list folder files table "
            "column database tables process container downloads list log logs server instance all "
            "notifications branch index vm it them subscription payment payments"
        ),
        unless="line email hint note",
    ),
    Frame("take", ERASE, near="out off", also="basket cart list agenda calendar schedule menu"),
    Frame("return", PAY, near=MONEY_NOUNS + " difference overpayment", unless="value json"),
    Frame(
        "return",
        PAY,
        unless=(
            "file list value json result results only number true false answer table nothing to as output call home"
        ),
    ),
    Frame("get", PAY, near="back refund", also="money refund refunded cash deposit"),
    Frame("get throw take", ERASE, near="rid away down out", also="rid away down trash"),
    Frame("cancel", ERASE),
    Frame(
        "cancel postpone reschedule change modify update move upgrade extend end stop pause renew",
        PAY,
        near=TRADE_NOUNS,
        unless=TEXT_NOUNS,
    ),
    Frame("close terminate end", ERASE, near="account accounts card subscription contract lease"),
    Frame("format", ERASE, near="disk drive usb partition sd"),
    Frame("shut stop", ERASE, near="server servers instance vm cluster service"),
    Frame("overwrite", ERASE | MAKE),
    Frame("squash rebase reset revert undo restore rollback roll recover", MAKE),
    Frame("reset", ERASE, near="factory hard database disk repo branch"),
    Frame("clean tidy", MAKE),
    # money
    Frame("book", PAY, unless="hour hours minutes time calendar"),
    Frame(
        "pay buy purchase order reserve donate tip refund reimburse wire repay rent hire charge bid "
        "invest repurchase prepay preorder hail rebook reorder renew",
        PAY,
        unless="alphabetically",
    ),
    Frame("book", PAY, near=BOOKABLE),
    Frame("transfer", PAY, unless="file files ownership repo repository domain call photos data task ticket issue"),
    Frame("transfer hand", OPEN, near="ownership repo repository domain"),
    Frame(
        "send lend give wire settle venmo paypal zelle",
        PAY,
        near=MONEY_NOUNS + " bill tab difference amount fee remainder sum allowance owe owed owes debt",
        unless="reminder confirmation receipt invoice details proof history overview list report summary remind",
    ),
    Frame("split", PAY | TELL, near="bill tab invoice rent debt check costs cost"),
    Frame(
        "top withdraw deposit invest sell trade exchange convert",
        PAY,
        near=(
            "0money money cash account card phone wallet shares share stock stocks bitcoin btc eth euros "
            "dollars savings credit balance usd eur holdings etf"
        ),
    ),
    Frame("sell trade", PAY, unless="file"),
    Frame(
        "set schedule create make add update change adjust edit modify increase raise lower reduce "
        "start stop pause cancel arrange plan initiate execute do complete put settle",
        PAY,
        near=(
            "payment payments standing debit transfer transfers transaction transactions autopay "
            "installment rent salary contribution contributions pension"
        ),
        unless=TEXT_NOUNS + " page calculator code method reminder",
    ),
    Frame(
        "make set schedule arrange get grab find place fix",
        PAY | TELL,
        near="appointment appointments reservation reservations booking bookings",
        unless="on in list file 0file reminder",
    ),
    Frame(
        "get grab snag score fetch",
        PAY,
        near="ticket tickets taxi cab uber table seat seats subscription",
        unless="support issue",
    ),
    Frame("place put make", PAY, near="order bid bet offer purchase donation", unless="in alphabetical numerical"),
    Frame(
        "upgrade downgrade subscribe cancel renew extend switch",
        PAY,
        near="plan subscription premium membership license licence pro tier netflix spotify insurance contract lease",
    ),
    Frame("refill order", PAY, near="prescription medication medicine card"),
    Frame(
        "approve authorize authorise submit file",
        PAY | TELL,
        near="expense expenses payment payments invoice invoices purchase payroll claim reimbursement tax taxes",
    ),
    Frame("check", PAY, near="out", also="cart basket checkout card paypal items"),
    Frame("run process", PAY, near="payroll payment payments"),
    Frame("claim", PAY | TELL, near="refund expense expenses money compensation reimbursement back"),
    Frame("request ask", PAY | TELL, near="refund reimbursement 0money"),
    Frame("cover spend contribute chip", PAY, near="0money bill fee cost costs tab share"),
    Frame("issue give", PAY, near="refund"),
    # who may
    Frame(
        "share",
        JOIN,
        also="with to among between publicly on in into via by everyone everybody team 0mail 0handle 0channel",
        unless="opinion thoughts",
    ),
    Frame("invite", JOIN),
    Frame("add put include bring", JOIN, into=GROUPS, unless=THINGS),
    Frame("add include put", JOIN, near=PEOPLE, unless=THINGS + " calendar"),
    Frame(
        "grant revoke authorize authorise promote demote unblock ban kick whitelist blacklist deny "
        "restrict permit unban",
        OPEN | EDIT,
    ),
    Frame("block mute unmute", OPEN | EDIT, unless="time slot calendar hour hours off out minutes"),
    Frame("remove drop take delete kick", OPEN, near=PEOPLE + " access permission permissions " + GROUPS),
    Frame(
        "give let make allow change set update assign adjust restrict transfer turn enable disable withdraw limit",
        OPEN | EDIT,
        near=ACCESS_NOUNS,
        unless="key",
    ),
    Frame("let allow", OPEN, near="edit see view in into join read comment"),
    Frame(
        "protect hide expose", OPEN | EDIT, near="branch folder file page profile repo repository document album from"
    ),
    Frame("unlock disarm", OPEN | EDIT),
    Frame("open lock", OPEN | EDIT, near="door doors gate garage house car"),
    Frame("approve accept", OPEN | TELL, near="access member join follow friend"),
    Frame("assign", OPEN | TELL, near="role roles reviewer"),
    # secrets
    Frame("log sign", LOGIN | WEB, near="in into", unless="up"),
    Frame("login authenticate signin", LOGIN | WEB),
    Frame("sign create open register", LOGIN | ADD, near="account accounts", unless="list report file 0file"),
    Frame(
        "change reset update rotate set renew revoke generate regenerate create replace add enable "
        "disable turn store save",
        LOGIN | EDIT,
        near=LOGIN_NOUNS,
        unless="keyboard file 0file dictionary json manager reminder",
    ),
    # from the web
    Frame("google browse download crawl scrape curl wget surf", WEB),
    Frame(
        "find fetch get show retrieve see",
        WEB,
        near=(
            "web internet online google site website websites webpage wikipedia news 0url weather forecast headlines"
        ),
        unless="0file inbox",
    ),
    Frame(
        "search look check read open summarize summarise go visit consult research pull explore "
        "follow click navigate load scan review",
        WEB,
        near=WEB_NOUNS,
        unless="0file folder notes docs/ inbox issue pr",
    ),
    Frame(
        "look",
        WEB,
        near="up",
        unless="calendar contacts inbox email emails mail mails files file folder notes messages my 0file",
    ),
    Frame("research", WEB),
    Frame("clone install", WEB | MAKE),
    Frame("pull", WEB | MAKE, near="latest changes upstream image main master repo origin"),
    # the owner's own things
    Frame(
        "create write make add save store fix repair convert sort count compute calculate compare "
        "extract translate generate build refactor draft prepare compose",
        MAKE,
    ),
    Frame(
        "produce compile test run execute install rename move copy duplicate backup zip unzip "
        "compress archive append insert replace merge split",
        MAKE,
    ),
    Frame(
        "edit change modify update set correct rewrite reformat format lint debug implement code "
        "program train plot draw design render export import patch",
        MAKE,
    ),
    Frame(
        "put turn organize organise sort rearrange reorganize tag label mark star flag pin categorize "
        "filter group align resize crop rotate",
        MAKE,
    ),
    Frame(
        "schedule reschedule postpone move plan remind note log record track bookmark jot keep list "
        "enter fill file book reserve",
        ADD,
        unless="me",
    ),
    Frame("remind note log record track set", ADD),
    Frame(
        "start stop pause resume play dim lower raise increase decrease reduce adjust enable disable "
        "switch lock activate deactivate mute skip snooze",
        EDIT,
    ),
    Frame(
        "assign close reopen resolve complete finish tick accept reject decline approve connect sync "
        "link attach shorten extend simplify improve optimize",
        MAKE,
    ),
    Frame("summarize summarise transcribe", MAKE, near="0file into in file txt md document", also="into to in as save"),
    Frame("benchmark measure profile launch restart reboot configure deploy check analyze analyse", RUN),
    Frame("undo revert restore reverse", EDIT),
    Frame("leave", TELL | EDIT, near="group channel team server chat"),
    # what few words say
    Frame("chase introduce escalate", TELL),
    Frame("put pin stick hang", POST, near="notice poster board", unless="todo"),
    Frame("repeat", PAY, near="order payment purchase transfer donation"),
    Frame(
        "get pick fetch grab",
        PAY,
        near="delivered supplier shop store supermarket pharmacy bakery",
        unless="list hours address",
    ),
    Frame("put load bump move set", PAY, near="0money donation", unless=TEXT_NOUNS),
    Frame("ship mail", PAY, near="parcel package box"),
    Frame("disable deactivate suspend", OPEN | EDIT, near="access account accounts user users"),
)
