"""Errors as HTTP answers: our shape on our routes, OpenAI's shape on /v1.

Layer: surfaces/api. Law: every answer that is not a success says what happened, what was kept and what to do next.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from carapax.core.terms.error import (
    BudgetSpent,
    CarapaxError,
    Conflict,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    Unavailable,
)

_STATUS: tuple[tuple[type[CarapaxError], int], ...] = (
    (TooLarge, 413),
    (Malformed, 400),
    (Refused, 403),
    (NotFound, 404),
    (Conflict, 409),
    (BudgetSpent, 429),
    (Unavailable, 503),
)
_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
NOTHING_DONE = "Nothing was changed."


class Unauthenticated(Refused):
    """No token, or one that is not valid."""

    code = "token.invalid"
    next_step = "Send `Authorization: Bearer cpx_…`; `carapax token create` makes one."


class TooMany(Refused):
    """Too many wrong tokens or codes from one address. `retry_after_s` says when the next is looked at."""

    code = "rate.limited"
    next_step = "Wait, then send a valid token; valid tokens are served all the time."

    def __init__(self, what: str, retry_after_s: int) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


def status_of(error: CarapaxError) -> int:
    """The HTTP status that says the same as the error's family."""
    if isinstance(error, Unauthenticated):
        return 401
    if isinstance(error, TooMany):
        return 429
    return next((status for family, status in _STATUS if isinstance(error, family)), 500)


def render_json(value: Any) -> bytes:
    """Compact UTF-8 JSON of plain data; a lone surrogate is written as U+FFFD, so no answer can fail on one."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(render_json(value), status, headers, "application/json")


def openai_error(message: str, status: int, code: str) -> dict[str, Any]:
    """The error object that OpenAI's clients read."""
    kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def render_refusal(path: str, error: CarapaxError, status: int | None = None) -> Response:
    """The answer for an error met on that path."""
    status = status_of(error) if status is None else status
    headers = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="carapax"'
    if path.startswith("/v1/"):
        return json_answer(openai_error(f"{error.what}. {error.next_step}", status, error.code), status, headers)
    body = {"code": error.code, "message": error.what, "kept": error.kept, "next_step": error.next_step}
    return json_answer({"error": body}, status, headers)
