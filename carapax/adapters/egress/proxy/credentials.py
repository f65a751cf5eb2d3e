"""Where a placeholder stands in a request, and which credentials a client brought itself.

Layer: adapters/egress/proxy. Pure: it knows placeholders, never values; `filled` is given the values at the last hop.
Laws: a placeholder is swapped only as its binding writes it (or as the password or name of Basic, where the binding is
for `authorization`); anywhere else it is a mismatch; a host with a binding takes no credential of the client's own.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carapax.adapters.egress.proxy.disguise import Watch
from carapax.adapters.egress.proxy.head import Header, RequestHead
from carapax.core.terms.egress import Binding

_OWN_HEADER = re.compile(
    r"(?:^|[-_])(?:authorization|cookie2?|credentials?|passw(?:or)?d|secret|sessionid|signature|jwt|token)$"
    r"|(?:api|auth|access|private|secret|session|subscription|client|functions|publishable)[-_]?(?:key|token|id|secret)$"
    r"|^(?:x-)?(?:auth|api|key|apikey)$|^x-amz-(?:security-token|date|content-sha256)$|^x-goog-(?:iam|user-project)"
)
_OWN_QUERY = re.compile(
    r"[?&;](?:[a-z0-9_.\-\[\]]*(?:api[_\-.]?key|apikey|access[_\-.]?key|token|secret|passw(?:or)?d|credential|signature|jwt"
    r"|authorization|awsaccesskeyid)[a-z0-9_.\-\[\]]*|key|sig|auth|session|sid|pat|k)=",
    re.IGNORECASE,
)
_PLAIN = frozenset({"sec-websocket-key", "idempotency-key", "x-client-id"})


class Mismatch(Exception):
    """A placeholder or a credential where it may not stand. The text names the place, never a value."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in a request's head in which a secret goes."""

    handle: str
    index: int  # of the header
    before: bytes
    after: bytes
    basic: bool = False


def binding_fits(binding: Binding, host: str, port: int, method: str, path: str) -> bool:
    """Does a binding hold for this request?"""
    if (binding.host, binding.port) != (host, port) or (binding.methods and method not in binding.methods):
        return False
    bare = path.partition("?")[0]
    if re.search(r"/\.{1,2}(?:/|$)|//|%2[ef]|%5c|\\", bare, re.IGNORECASE) and binding.path != "/":
        return False  # a server might walk out of the bound path
    prefix = binding.path.rstrip("/")
    return bare == prefix or bare.startswith(prefix + "/")


def slots_of(
    head: RequestHead,
    host: str,
    port: int,
    bindings: Sequence[Binding],
    placeholders: Mapping[str, str],
    watch: Watch,
) -> tuple[Slot, ...]:
    """Where secrets go in the head. Raises Mismatch for everything the module's laws exclude."""
    at_host = [b for b in bindings if b.host == host]
    fitting = [b for b in at_host if b.handle in placeholders and binding_fits(b, host, port, head.method, head.path)]
    if watch.found_in_text(head.path.encode()):
        raise Mismatch("a placeholder stands in the address")
    slots: list[Slot] = []
    for index, (name, value) in enumerate(head.headers):
        slot = _slot(index, name, value, fitting, placeholders)
        if slot is not None:
            slots.append(slot)
        elif watch.found_in_text(name.encode() + b":" + value) or _unbased(watch, value):
            raise Mismatch(f"a placeholder stands in the header {name}, where it is not bound")
        elif at_host and is_credential(name):
            raise Mismatch(f"a credential of the program's own stands in the header {name}")
    if at_host and _OWN_QUERY.search(head.path.replace("%5F", "_").replace("%5f", "_")):
        raise Mismatch("a credential of the program's own stands in the address")
    return tuple(slots)


def is_credential(name: str) -> bool:
    """Does a header of this name carry a credential, by its name?"""
    return name not in _PLAIN and _OWN_HEADER.search(name) is not None


def _slot(
    index: int, name: str, value: bytes, fitting: Sequence[Binding], placeholders: Mapping[str, str]
) -> Slot | None:
    for binding in fitting:
        if binding.header != name:
            continue
        word, prefix = placeholders[binding.handle].encode(), binding.prefix.encode()
        if value[: len(prefix)].lower() == prefix.lower() and value[len(prefix) :] == word:
            return Slot(binding.handle, index, prefix, b"")
        if name == "authorization" and value[:6].lower() == b"basic ":
            user, colon, password = _unbase(value[6:]).partition(b":")
            if colon and password == word and word not in user:
                return Slot(binding.handle, index, user + b":", b"", basic=True)
            if colon and user == word and password in (b"", b"x-oauth-basic"):
                return Slot(binding.handle, index, b"", b":" + password, basic=True)
    return None


def filled(headers: Sequence[Header], slots: Sequence[Slot], values: Mapping[str, bytes]) -> tuple[Header, ...]:
    """The headers with the secrets in their places."""
    changed = list(headers)
    for slot in slots:
        text = slot.before + values[slot.handle] + slot.after
        changed[slot.index] = (changed[slot.index][0], b"Basic " + base64.b64encode(text) if slot.basic else text)
    return tuple(changed)


def _unbase(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _unbased(watch: Watch, value: bytes) -> bool:
    return any(watch.found(_unbase(word)) for word in value.split() if len(word) > 8)
