"""Rules 3, 4 and 8, authority: whoever decides where an effect goes and how much it costs is the owner.

Layer: core/rules. A value that nothing vouches for is typed by a person, not confirmed; a secret never comes from
anywhere but the owner's words or the vault. Small payments to payees the owner named go by the caps.
Law: without untrusted text in the context there are no findings; static policy decides alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from carapax.core.flow.canon import canonical_amount
from carapax.core.rules.finding import Finding, Need
from carapax.core.rules.lookups import paid_back, was_paid
from carapax.core.rules.task import Payment, Task
from carapax.core.rules.trace import PEOPLE, THINGS
from carapax.core.terms.action import VOUCHED, ArgRole, Argument, CanonicalCall, Effect, FieldRole, Trace
from carapax.core.terms.ids import RuleId

UNNAMED = RuleId("authority.unnamed")
SECRET = RuleId("authority.secret")
AMOUNT = RuleId("money.amount")
AGAIN = RuleId("money.again")

_ALL = PEOPLE | THINGS | {ArgRole.URL, ArgRole.SECRET, ArgRole.COMMAND}
_DECIDING: dict[Effect, frozenset[ArgRole]] = {
    Effect.READ: frozenset(),
    Effect.FETCH: frozenset({ArgRole.URL, ArgRole.SECRET, ArgRole.RECIPIENT}),
    Effect.SELF_ADD: PEOPLE | {ArgRole.SECRET, ArgRole.DATE},
    Effect.SELF_MODIFY: PEOPLE | {ArgRole.SECRET, ArgRole.DATE, ArgRole.OBJECT, ArgRole.PATH},
    Effect.DESTROY: _ALL,
    Effect.COMMUNICATE: _ALL,
    Effect.PUBLISH: _ALL,
    Effect.ACCESS: _ALL,
    Effect.MONEY: _ALL | {ArgRole.DATE},
    Effect.CREDENTIAL: _ALL,
    Effect.CODE: _ALL,
}
_WORDS = {
    ArgRole.RECIPIENT: "recipient",
    ArgRole.PAYEE: "payee",
    ArgRole.URL: "address",
    ArgRole.PRINCIPAL: "person",
    ArgRole.OBJECT: "thing",
    ArgRole.PLACE: "place",
    ArgRole.PATH: "path",
    ArgRole.COMMAND: "command",
    ArgRole.DATE: "date",
}


def check_authority(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether every value that decides something is vouched for."""
    if not task.tainted:
        return
    deciding = deciding_roles(call)
    for argument in call.arguments:
        if argument.role in deciding:
            for trace in argument.traces:
                if trace.origin not in VOUCHED:
                    yield _unnamed(call, argument, trace)


def deciding_roles(call: CanonicalCall) -> frozenset[ArgRole]:
    """The roles whose values decide what this call does; what stands in the others is told, not obeyed."""
    manifest = call.manifest
    if manifest.effect is Effect.CODE and manifest.contained:
        return frozenset()
    roles = _DECIDING[manifest.effect]
    if manifest.effect is Effect.MONEY and any(a.role in (ArgRole.PAYEE, ArgRole.AMOUNT) for a in call.arguments):
        return roles - {ArgRole.DATE}  # the day of a booking decides what is bought; the day of a payment does not
    if is_undoable(call) and manifest.effect in (Effect.SELF_ADD, Effect.SELF_MODIFY):
        return roles - THINGS  # rule 11: undo instead of ask
    return roles


def is_undoable(call: CanonicalCall) -> bool:
    """Whether Carapax itself keeps what stood there before."""
    return call.manifest.reversible and call.manifest.touches_workspace


def _unnamed(call: CanonicalCall, argument: Argument, trace: Trace) -> Finding:
    if argument.role is ArgRole.SECRET:
        return Finding(SECRET, Need.NEVER, "A secret must come from your own words or from the vault.", argument.name)
    word = _WORDS.get(argument.role, argument.role.value)
    return Finding(
        UNNAMED,
        Need.BLANK,
        f"You never named this {word}.",
        argument.name,
        argument.role.value,
        trace.value,
        trace.source,
    )


def check_amounts(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether every amount was stated, was paid before, is paid back, or is small enough."""
    if not task.tainted or call.manifest.effect is not Effect.MONEY:
        return
    for argument in call.arguments:
        if argument.role is ArgRole.AMOUNT and argument.origin not in VOUCHED:
            cents = canonical_amount(str(argument.value))
            if cents is None or not (_is_known_amount(call, cents, task) or is_within_caps(call, cents, task)):
                source = argument.traces[0].source if argument.traces else ""
                yield Finding(
                    AMOUNT,
                    Need.BLANK,
                    "You never stated this amount.",
                    argument.name,
                    "amount",
                    str(argument.value),
                    source,
                )


def check_repeats(call: CanonicalCall, task: Task) -> Iterator[Finding]:
    """Whether the same payment was made before in this task: once asked for is once paid."""
    if task.tainted and call.manifest.effect is Effect.MONEY and payment_key(call) in task.repeated:
        for role, value in payment_key(call):
            yield Finding(AGAIN, Need.BLANK, "This was paid already.", role, role, value)


def payment_key(call: CanonicalCall) -> Payment:
    """Whom a payment goes to, for what, and how much."""
    parts = (a for a in call.arguments if a.role in PEOPLE | THINGS | {ArgRole.AMOUNT})
    return tuple((a.role.value, t.value) for a in parts for t in a.traces)


def _is_known_amount(call: CanonicalCall, cents: int, task: Task) -> bool:
    for payee in payees(call, task):
        sent = paid_back(payee, task)
        if (sent is not None and 0 < cents <= sent) or was_paid(payee, cents, task):
            return True
    return False


def is_within_caps(call: CanonicalCall, cents: int, task: Task) -> bool:
    """Whether the policy lets this amount go without asking, to payees that are vouched for."""
    caps = task.tables.caps
    deciding = [a for a in call.arguments if a.role in PEOPLE | THINGS]
    if not deciding or any(a.origin not in VOUCHED for a in deciding) or cents <= 0:
        return False
    each_ok = caps.payment_each_cents is None or cents <= caps.payment_each_cents
    day_ok = caps.payment_day_cents is None or task.counts.spent_cents + cents <= caps.payment_day_cents
    return each_ok and day_ok


def payees(call: CanonicalCall, task: Task) -> tuple[str, ...]:
    """Who is paid: the payee argument, else the addresses of the payment that is changed."""
    given = tuple(t.value for a in call.arguments if a.role in (ArgRole.PAYEE, ArgRole.RECIPIENT) for t in a.traces)
    if given:
        return given
    objects = [t.value for a in call.arguments if a.role is ArgRole.OBJECT for t in a.traces]
    records = [task.knowledge.records[at] for value in objects for at in task.knowledge.by_id.get(value, ())]
    own = task.tables.owner_addresses
    return tuple(a for record in records for a in record.of(FieldRole.ADDRESS) if a not in own)


def amount_cents(call: CanonicalCall) -> int:
    """The money a call moves, in hundredths; an amount that cannot be read counts as the largest."""
    amounts = [a for a in call.arguments if a.role is ArgRole.AMOUNT]
    if call.manifest.effect is not Effect.MONEY or not amounts:
        return 0
    read = [canonical_amount(str(a.value)) for a in amounts]
    return sum(2**53 if cents is None else max(cents, 0) for cents in read)
