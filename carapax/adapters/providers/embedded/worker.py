"""The child process that holds the model: frames in on stdin, frames out on stdout.

Layer: adapters/providers/embedded; the only module that imports the native library, and only in this process.
Owns the model, its one slot, and the saved states of fixed prefixes (so that a first prompt costs
milliseconds instead of the seconds its prefix takes to read).
Absent: prompts' meaning; anything that could act: no network (a private Unix socket is the library's own door), no tools.
Laws: dies with the gateway; a frame in is answered by exactly one `end` or `error` frame.
"""

from __future__ import annotations

import ctypes
import hashlib
import http.client
import json
import os
import queue
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from carapax.adapters.providers.embedded import wire

_PREFIXES_KEPT = 6
_RAM_CACHE_MIB = 256
_NICE = 5
_LOOK_EVERY = 32  # tokens


class Worker:
    """The loaded model and its one slot."""

    def __init__(self, model: Path, cache: Path, threads: int, context_tokens: int) -> None:
        import xllamacpp  # type: ignore[import-untyped]

        self._cache = cache
        self._stopped: set[int] = set()
        self._held = ""  # the prefix the slot's state begins with
        self._stamp = f"{model.name} {xllamacpp.__version__} {context_tokens}"
        self._key = secrets.token_hex(16)
        self._door = Path(tempfile.mkdtemp(prefix="carapax-model-")) / "door.sock"
        self._out = threading.Lock()
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # the native library may print; frames have their own descriptor
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = context_tokens, 1, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib, params.verbosity = _RAM_CACHE_MIB, 0
        params.warmup = params.fit_params = params.ui = False
        # Without a name of its own the library would listen on a TCP port that everybody on this machine can reach.
        params.hostnames, params.api_keys = [str(self._door)], [self._key]
        params.slot_save_path = str(cache) + "/"
        self._server = xllamacpp.Server(params)

    def serve(self) -> None:
        """Answer frames until stdin closes."""
        frames: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(frames,), daemon=True).start()
        self._send({"ready": True})
        while True:
            frame = frames.get()
            if frame.get("op") == "ask":
                self._ask(frame)

    def _read(self, frames: queue.Queue[dict[str, Any]]) -> None:
        for line in sys.stdin.buffer:
            frame = wire.parse_frame(line)
            if frame.get("op") == "stop":
                self._stopped.add(frame["id"])
            else:
                frames.put(frame)
        self.leave()

    def leave(self) -> None:
        """End this process now; the native library's threads are not worth waiting for."""
        shutil.rmtree(self._door.parent, ignore_errors=True)
        os._exit(0)

    def _send(self, frame: dict[str, Any]) -> None:
        with self._out:
            self._pipe.write(wire.render_frame(frame))
            self._pipe.flush()

    def _ask(self, frame: dict[str, Any]) -> None:
        prompt, number = str(frame["prompt"]), int(frame["id"])
        self._hold(prompt[: int(frame.get("prefix", 0))])
        if frame["max"] == 0:
            self._send({"id": number, "end": {"prompt": 0, "output": 0, "cut": False}})
            return
        body: dict[str, Any] = {"prompt": prompt, "n_predict": int(frame["max"])}
        if frame.get("schema") is not None:
            body["json_schema"] = frame["schema"]
        last = self._complete(number, body)
        if "error" in last:
            self._send({"id": number, "error": str(last["error"].get("message", ""))[:500]})
            return
        usage = last.get("usage", {})
        cut = any(choice.get("finish_reason") == "length" for choice in last.get("choices", ()))
        end = {"prompt": usage.get("prompt_tokens", 0), "output": usage.get("completion_tokens", 0), "cut": cut}
        self._send({"id": number, "end": end})

    def _hold(self, prefix: str) -> None:
        """Let the slot's state begin with this prefix: it does already, it was saved, or it is read now and saved."""
        if not prefix or prefix == self._held:
            return
        name = hashlib.sha256(f"{self._stamp}\0{prefix}".encode()).hexdigest()[:32] + ".kv"
        if (self._cache / name).exists() and self._slot("restore", name):
            os.utime(self._cache / name)
        elif "error" in self._complete(0, {"prompt": prefix, "n_predict": 0}):
            return
        else:
            self._save(name)
        self._held = prefix

    def _save(self, name: str) -> None:
        fresh = f"{name}.{os.getpid()}"  # beside, then renamed: another worker must not restore half a state
        if self._slot("save", fresh):
            os.replace(self._cache / fresh, self._cache / name)
        kept = sorted(self._cache.glob("*.kv"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in kept[_PREFIXES_KEPT:]:
            old.unlink(missing_ok=True)

    def _complete(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        """Run one completion, sending its pieces under this number (0: nobody's); the last piece."""
        last: dict[str, Any] = {}
        written, count, stopped = "", 0, False

        def on_piece(piece: dict[str, Any]) -> bool:
            nonlocal last, written, count, stopped
            last = piece
            text = "".join(choice.get("text", "") for choice in piece.get("choices", ()))
            written, count = written + text, count + 1
            if number and text:
                self._send({"id": number, "text": text})
            stopped = number in self._stopped or (count % _LOOK_EVERY == 0 and wire.goes_round(written))
            return stopped

        self._server.handle_completions({"temperature": 0, "cache_prompt": True, "stream": True, **body}, on_piece)
        self._stopped.discard(number)
        if stopped and "error" not in last:
            return {"choices": [{"finish_reason": "length"}], "usage": {"completion_tokens": count}}
        return last

    def _slot(self, action: str, name: str) -> bool:
        link = http.client.HTTPConnection("localhost", timeout=30)
        link.sock = socket.socket(socket.AF_UNIX)
        try:
            link.sock.connect(str(self._door))
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
            link.request("POST", f"/slots/0?action={action}", json.dumps({"filename": name}), headers)
            return link.getresponse().status == http.HTTPStatus.OK
        except OSError:  # without a saved state the prefix is read again: slower, not wrong
            return False
        finally:
            link.close()


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def main(argv: list[str]) -> None:
    """`worker MODEL CACHE THREADS CONTEXT_TOKENS`."""
    _die_with_parent()
    os.nice(_NICE)
    os.umask(0o077)
    model, cache, threads, context_tokens = Path(argv[1]), Path(argv[2]), int(argv[3]), int(argv[4])
    cache.mkdir(parents=True, exist_ok=True)
    Worker(model, cache, threads, context_tokens).serve()


if __name__ == "__main__":
    main(sys.argv)
