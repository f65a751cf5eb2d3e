"""The endpoints of a HashiCorp Vault that Carapax uses: KV version 2, token look-up and renewal, AppRole login.

Answers as the server does (developer.hashicorp.com/vault/api-docs): shapes, statuses and error lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.served import Answer, Asked

ROOT = "hvs.root-token-of-the-test"
ROLE = "5a1c-role"
SECRET_ID = "9d2e-secret-id"
DENIED: Answer = (403, {"errors": ["permission denied"]})


@dataclass
class FakeHashicorp:
    """One server with the engine `secret/` and one role."""

    sealed: bool = False
    broken: int = 0  # every request is answered with this status
    namespace: str = ""
    ttl_s: int = 0  # of the root token; 0 never ends
    role_ttl_s: int = 3600
    tokens: set[str] = field(default_factory=lambda: {ROOT})
    versions: dict[str, list[dict[str, str] | None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if self.broken:
            return self.broken, {"errors": ["rate limit quota exceeded" if self.broken == 429 else "internal error"]}
        if self.namespace != asked.headers.get("x-vault-namespace", ""):
            return DENIED
        if asked.path == "/v1/auth/approle/login":
            return self._login(asked.json)
        if asked.headers.get("x-vault-token") not in self.tokens:
            return DENIED
        if asked.path == "/v1/auth/token/lookup-self":
            return 200, {"data": {"id": "hidden", "ttl": self.ttl_s, "renewable": self.ttl_s > 0}}
        if asked.path == "/v1/auth/token/renew-self":
            return 200, {"auth": {"client_token": "hidden", "lease_duration": self.role_ttl_s, "renewable": True}}
        if found := re.fullmatch(r"/v1/secret/(data|metadata)(?:/(.*))?", asked.path):
            return self._kv(asked, found[1], found[2] or "")
        return 404, {"errors": []}

    def _login(self, given: dict[str, str]) -> Answer:
        if given != {"role_id": ROLE, "secret_id": SECRET_ID}:
            return 400, {"errors": ["invalid role or secret ID"]}
        token = f"hvs.role-{len(self.tokens)}"
        self.tokens.add(token)
        return 200, {"auth": {"client_token": token, "lease_duration": self.role_ttl_s, "renewable": True}}

    def _kv(self, asked: Asked, part: str, path: str) -> Answer:
        if asked.method == "LIST" and part == "metadata":
            inside = f"{path}/" if path else ""
            below = [name.removeprefix(inside) for name in self.versions if name.startswith(inside)]
            keys = sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in below})
            return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})
        versions = self.versions.get(path, [])
        if asked.method == "GET" and part == "data":
            if not versions:
                return 404, {"errors": []}
            about: dict[str, Any] = {"version": len(versions), "deletion_time": "", "destroyed": False}
            if versions[-1] is None:
                return 404, {"data": {"data": None, "metadata": {**about, "deletion_time": "2026-12-01T10:00:00Z"}}}
            return 200, {"data": {"data": versions[-1], "metadata": about}}
        if asked.method == "POST" and part == "data":
            wanted = (asked.json.get("options") or {}).get("cas")
            if wanted is not None and wanted != len(versions):
                return 400, {"errors": ["check-and-set parameter did not match the current version"]}
            self.versions.setdefault(path, []).append(asked.json["data"])
            return 200, {"data": {"version": len(self.versions[path]), "deletion_time": "", "destroyed": False}}
        return 405, {"errors": ["unsupported operation"]}
