"""Signing with a secret that two sides know, and checking what the other side signed.

Layer: adapters/egress. Pure. Absent: what is signed (each platform's business), and the secret's keeping.
Laws: a check takes as long for a wrong signature as for a right one; EQUAL makes nothing, as that would give the
secret out. Source: RFC 2104; "whsec_" and base64 is how Standard Webhooks writes a secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import assert_never

from carapax.core.terms.error import Refused, TooLarge
from carapax.ports.egress import Mac

MESSAGE_BYTES = 1 << 20
WEBHOOK_MARK = "whsec_"


def mac_of(mac: Mac, value: str, message: bytes) -> bytes:
    """The signature. Raises Refused for EQUAL, TooLarge."""
    if len(message) > MESSAGE_BYTES:
        raise TooLarge(f"What is signed is over {MESSAGE_BYTES:,} bytes.")
    match mac:
        case Mac.HMAC_SHA256:
            return hmac.digest(_key(value), message, "sha256")
        case Mac.HMAC_SHA1:
            return hmac.digest(_key(value), message, "sha1")
        case Mac.EQUAL:
            raise Refused("A secret that is compared signs nothing.", next_step="Use another way of signing.")
        case _:
            assert_never(mac)


def verify_mac(mac: Mac, value: str, message: bytes, given: bytes) -> None:
    """Raises Refused when `given` is not the signature (for EQUAL: the secret)."""
    wanted = value.encode("utf-8") if mac is Mac.EQUAL else mac_of(mac, value, message)
    if not value or not hmac.compare_digest(wanted, given):
        raise Refused("The signature is not right.", next_step="Check the secret on both sides.")


def _key(value: str) -> bytes:
    if value.startswith(WEBHOOK_MARK):
        try:
            return base64.b64decode(value.removeprefix(WEBHOOK_MARK), validate=True)
        except binascii.Error:
            pass  # then it is a secret that only begins so
    return value.encode("utf-8")
