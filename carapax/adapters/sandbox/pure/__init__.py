"""Pure sandbox adapter: tier 0, small computations in an interpreter that has no files, processes or sockets.

Layer: adapters/sandbox. The package's door; everything else in it is private to it.
"""

from carapax.adapters.sandbox.pure.adapter import PureSandbox

__all__ = ("PureSandbox",)
