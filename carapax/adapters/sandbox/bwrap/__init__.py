"""The default sandbox tier: bubblewrap, a system call filter and control groups.

Layer: adapters/sandbox. The package's door; everything else in it is private to it.
"""

from carapax.adapters.sandbox.bounds import Bounds
from carapax.adapters.sandbox.bwrap.adapter import BwrapSandbox

__all__ = ("Bounds", "BwrapSandbox")
