"""Run every measurement and write `bench/RESULTS.md`.   python bench/results.py [--only NAME …]

Each command prints a table; this puts them together, with the last one of what was not run again. Figures in RESULTS.md
come from here and nowhere else. The hijack replay has an environment of its own (`make bench-setup`).
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "bench" / "out"
OWN, REPLAY = Path(sys.executable), ROOT / ".venv-hijack" / "bin" / "python"
_JOBS = str(min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class Bench:
    """One measurement: its title, its command after "python", and the Python that it needs."""

    title: str
    command: tuple[str, ...]
    python: Path = OWN


BENCHES = {
    "gateway": Bench("The gateway beside its peers", ("bench/gateway/run.py",)),
    "ledger": Bench("The ledger", ("bench/ledger/run.py",)),
    "sandbox": Bench("The sandbox", ("bench/sandbox/run.py",)),
    "walls": Bench("The walls", ("-m", "bench.walls.run")),
    "store": Bench("The store", ("bench/store/run.py",)),
    "engine": Bench("Durable work", ("bench/engine/run.py",)),
    "channels": Bench("Messengers", ("-m", "bench.channels.run")),
    "small_model": Bench("The embedded model", ("bench/small_model/run.py",)),
    "hijack": Bench("Hijacked models", ("-m", "bench.hijack.run", "--jobs", _JOBS), REPLAY),
    "hijack_latency": Bench("How long a judgement takes", ("-m", "bench.hijack.latency"), REPLAY),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(BENCHES), choices=list(BENCHES), metavar="NAME")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    failed = [name for name in given.only if not measure(name, BENCHES[name])]
    write_results(list(BENCHES))
    return 1 if failed else 0


def measure(name: str, bench: Bench) -> bool:
    """Run one and keep its section; says what is wrong when it fails, and then keeps the earlier one."""
    print(f"{name} …", flush=True)
    if not bench.python.exists():
        print(f"{bench.python} is missing: run `make bench-setup`.", file=sys.stderr)
        return False
    ran = subprocess.run(
        [bench.python, *bench.command, "--json", f"bench/out/{name}.json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        print(ran.stdout, ran.stderr, file=sys.stderr)
        return False
    (OUT / f"{name}.md").write_text(section(bench, ran.stdout.strip()))
    return True


def section(bench: Bench, said: str) -> str:
    """What a measurement printed, under its title, its command, the day and the machine."""
    day = datetime.datetime.now(datetime.UTC).date()
    head = f"`python {' '.join(bench.command)}`, {day}, {platform.machine()}, Linux {platform.release()}."
    if "|---|" not in said:  # a plain table, shown as it was printed
        said = "\n".join(f"    {line}".rstrip() for line in said.splitlines())
    return f"## {bench.title}\n\n{head}\n\n{said}\n"


def write_results(names: Sequence[str]) -> None:
    """Put the sections together, in this order."""
    parts = [OUT / f"{name}.md" for name in names]
    text = "# Results\n\nRenewed by `make bench`; every figure is printed again by the command named with it.\n\n"
    (ROOT / "bench" / "RESULTS.md").write_text(text + "\n".join(p.read_text() for p in parts if p.exists()))


if __name__ == "__main__":
    sys.exit(main())
