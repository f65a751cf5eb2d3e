"""Served: what the self-test's own service answers: a page, a package index with one package, a git repository.

Layer: adapters/sandbox/selftest. Pure; made here and not kept as files, so that nothing foreign is ever served.
Absent: the service itself (`app`), and what is asked of it (`online`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import zlib
from collections.abc import Mapping

WORD = "through the way out"
_WHEEL = "carapax_probe-1.0-py3-none-any.whl"
_AUTHOR = "Carapax <carapax@example.invalid> 0 +0000"


@functools.cache
def served() -> Mapping[str, bytes]:
    """Every path and its content."""
    tree, packed_tree = _git_object("tree", b"")
    words = f"tree {tree}\nauthor {_AUTHOR}\ncommitter {_AUTHOR}\n\n{WORD}\n"
    commit, packed_commit = _git_object("commit", words.encode())
    return {
        "/page": WORD.encode(),
        "/index/carapax-probe/": f'<!DOCTYPE html><a href="/files/{_WHEEL}">{_WHEEL}</a>'.encode(),
        f"/files/{_WHEEL}": _wheel(),
        "/repo.git/HEAD": b"ref: refs/heads/main\n",
        "/repo.git/info/refs": f"{commit}\trefs/heads/main\n".encode(),
        f"/repo.git/objects/{tree[:2]}/{tree[2:]}": packed_tree,
        f"/repo.git/objects/{commit[:2]}/{commit[2:]}": packed_commit,
    }


def _git_object(kind: str, content: bytes) -> tuple[str, bytes]:
    """The name and the packed bytes of a loose object."""
    whole = f"{kind} {len(content)}\0".encode() + content
    return hashlib.sha1(whole, usedforsecurity=False).hexdigest(), zlib.compress(whole)


def _wheel() -> bytes:
    import zipfile  # not at the gateway's start, which never serves this

    files = {
        "carapax_probe.py": f"WORD = {WORD!r}\n",
        "carapax_probe-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: carapax-probe\nVersion: 1.0\n",
        "carapax_probe-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},{_digest(text)},{len(text)}" for name, text in files.items()]
    files["carapax_probe-1.0.dist-info/RECORD"] = "\n".join([*rows, "carapax_probe-1.0.dist-info/RECORD,,", ""])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return out.getvalue()


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
