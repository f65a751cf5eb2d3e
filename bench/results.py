"""Run every measurement and write `bench/RESULTS.md`.   python bench/results.py [--only NAME …]

Each `bench/NAME/run.py` prints a table; this puts them together. Figures in RESULTS.md come from here and nowhere else.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLES = {
    "gateway": "The gateway beside its peers",
    "ledger": "The ledger",
    "sandbox": "The sandbox",
    "store": "The store",
    "small_model": "The embedded model",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(TITLES))
    given = parser.parse_args()
    (ROOT / "bench" / "out").mkdir(exist_ok=True)
    for name in given.only:
        print(f"{name} …", flush=True)
        ran = subprocess.run(
            [sys.executable, f"bench/{name}/run.py", "--json", f"bench/out/{name}.json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            print(ran.stdout, ran.stderr, file=sys.stderr)
            return 1
        day = datetime.datetime.now(datetime.UTC).date()
        head = f"## {TITLES[name]}\n\n`python bench/{name}/run.py`, {day}, {platform.machine()}, Linux {platform.release()}.\n"
        body = ran.stdout.strip()
        if "|---|" not in body:  # a plain table, shown as it was printed
            body = "\n".join(f"    {line}".rstrip() for line in body.splitlines())
        (ROOT / "bench" / "out" / f"{name}.md").write_text(f"{head}\n{body}\n")
    parts = [(ROOT / "bench" / "out" / f"{name}.md") for name in TITLES]
    text = "# Results\n\nRenewed by `make bench`; every figure is printed again by the command named with it.\n\n"
    (ROOT / "bench" / "RESULTS.md").write_text(text + "\n".join(p.read_text() for p in parts if p.exists()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
