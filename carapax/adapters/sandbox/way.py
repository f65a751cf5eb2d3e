"""Way: what a job with a way out finds inside, the same in every tier.

Layer: adapters/sandbox. Owns the address of the way inside and the variables that lead programs to it.
Absent: the proxy behind it, and its listener (each tier makes its own).
Laws: a job without a way gets none of this; no variable holds a secret.
"""

from __future__ import annotations

from carapax.core.terms.egress import Way

WAY_PORT = 3128
WAY_URL = f"http://127.0.0.1:{WAY_PORT}"
CA_INSIDE = "/etc/carapax-ca.pem"  # holds only the way's own authority: the proxy ends every connection

_PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_TRUST = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
)


def way_variables(way: Way | None) -> tuple[tuple[str, str], ...]:
    """The environment that leads usual programs out by this way; () without one."""
    if way is None:
        return ()
    trust = ((name, CA_INSIDE) for name in _TRUST if way.authority)
    return (
        *((name, WAY_URL) for name in _PROXY),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
        ("NODE_USE_ENV_PROXY", "1"),
        *trust,
    )
