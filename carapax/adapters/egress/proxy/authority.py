"""The certificate authority of one way: made for it, kept in memory, gone with it.

Layer: adapters/egress/proxy. Owns the CA, its leaf certificates (one key for all) and the TLS contexts that answer a
client in a host's name. Absent: any authority that outlives a way or that two ways share.
Law: a client is answered only when it asks for exactly the host of its tunnel (SNI; none for an address).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from typing import TYPE_CHECKING

from carapax.adapters.egress.proxy.spelling import is_address

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LEAVES = 64
VALID_DAYS = 7


class Authority:
    """One CA with its leaves."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec  # loaded when the first way is opened

        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._ca = _sign_ca(self._ca_key)
        self._contexts: dict[str, ssl.SSLContext] = {}

    def __repr__(self) -> str:
        return "Authority()"

    def pem(self) -> bytes:
        """The CA's certificate, which clients of this way trust."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self._ca.public_bytes(Encoding.PEM)

    def context(self, host: str) -> ssl.SSLContext:
        """The context that answers in the name of a parsed host; made once per host, the oldest is forgotten."""
        found = self._contexts.get(host)
        if found is None:
            if len(self._contexts) >= LEAVES:
                del self._contexts[next(iter(self._contexts))]
            found = self._contexts[host] = self._make(host)
        return found

    def _make(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = _only(None if is_address(host) else host)
        _load(context, self._leaf(host))
        return context

    def _leaf(self, host: str) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        name = x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host)
        public = self._leaf_key.public_key()
        leaf = (
            _dated(x509.CertificateBuilder())
            .subject_name(x509.Name([]))
            .issuer_name(self._ca.subject)
            .public_key(public)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, hashes.SHA256())
        )
        key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + leaf.public_bytes(serialization.Encoding.PEM) + self.pem()


def _only(host: str | None):  # type: ignore[no-untyped-def]
    def check(_: ssl.SSLObject, asked: str | None, __: ssl.SSLContext) -> int | None:
        same = asked is None if host is None else asked is not None and asked.lower() == host
        return None if same else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return check


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _sign_ca(key: EllipticCurvePrivateKey) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Carapax, this run only")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _dated(x509.CertificateBuilder())
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    # The ssl module reads certificates from files only; this one is memory and is gone at once.
    memory = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(memory, pem)
        context.load_cert_chain(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)
