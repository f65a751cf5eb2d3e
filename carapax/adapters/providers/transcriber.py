"""Recordings to text, by a service that speaks OpenAI's `audio/transcriptions`.

Layer: adapters/providers. Owns the request and its bounds. Absent: what the words are worth (whoever spoke them).
Source: platform.openai.com/docs/api-reference/audio.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from carapax.core.terms.error import ProviderFailed
from carapax.ports.egress import Egress

TIMEOUT_MS = 120_000
MOST_BYTES = 25 << 20
MOST_CHARS = 65_536


class Transcriber:
    """One service and model. `secret` is a handle, "" for none."""

    def __init__(self, egress: Egress, address: str, model: str, secret: str) -> None:
        self._client: Any = egress.client(base_url=address.rstrip("/") + "/", secret=secret, timeout_ms=TIMEOUT_MS)
        self._model, self._secret = model, secret

    async def transcribe(self, recording: bytes) -> str:
        """What was said, at most 64 KiB. Raises ProviderFailed."""
        import httpx2

        if len(recording) > MOST_BYTES:
            raise ProviderFailed(f"The recording is larger than {MOST_BYTES >> 20} MiB.")
        mark = secrets.token_hex(16)
        headers = {"content-type": f"multipart/form-data; boundary={mark}"}
        if self._secret:
            headers["authorization"] = f"Bearer {self._client.placeholder}"
        try:
            answer = await self._client.post(
                "audio/transcriptions", content=_form(mark, self._model, recording), headers=headers
            )
            found = json.loads(answer.content)
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderFailed(f"The transcriber failed: {type(error).__name__}.", retriable=True) from error
        text = found.get("text") if isinstance(found, dict) else None
        if answer.status_code != 200 or not isinstance(text, str):
            raise ProviderFailed(f"The transcriber answered {answer.status_code}.")
        return text.strip()[:MOST_CHARS]

    async def close(self) -> None:
        await self._client.aclose()


def _form(mark: str, model: str, recording: bytes) -> bytes:
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode(),
        f'--{mark}\r\nContent-Disposition: form-data; name="response_format"\r\n\r\njson\r\n'.encode(),
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="recording.ogg"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode(),
    ]
    return b"".join([*parts, recording, f"\r\n--{mark}--\r\n".encode()])
