"""The entry point of the `carapax` command.

Layer: app. Imports as little as it can: `carapax --version` must not load a gateway.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from carapax.app.machine import Machine, environment
    from carapax.surfaces.cli.run import run

    return run(sys.argv[1:], Machine(environment()))


if __name__ == "__main__":
    sys.exit(main())
