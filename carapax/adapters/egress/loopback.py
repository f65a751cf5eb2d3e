"""Whether a host is this machine, by its spelling.

Layer: adapters/egress. Pure. Absent: any look-up; a name that only resolves to this machine is not it.
"""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is localhost, in 127.0.0.0/8, or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
