"""gVisor sandbox adapter: tier 2, a kernel of its own in user space for every job.

Layer: adapters/sandbox. The package's door; everything else in it is private to it.
"""

from carapax.adapters.sandbox.gvisor.adapter import GvisorSandbox

__all__ = ("GvisorSandbox",)
