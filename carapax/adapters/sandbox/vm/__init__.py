"""The strongest tier: a virtual machine, restored from a snapshot for one job and then destroyed.

Layer: adapters/sandbox. The package's door; everything else in it is private to it.
"""

from carapax.adapters.sandbox.vm.adapter import VmSandbox

__all__ = ("VmSandbox",)
