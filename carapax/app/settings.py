"""Settings: one small TOML file in Carapax's home, and where everything else lies.

Layer: app. Environment: CARAPAX_HOME (default ~/.carapax), CARAPAX_WORKSPACE, CARAPAX_PORT, CARAPAX_MODEL.
Law: an unknown key or a wrong type is an error that names the line's key, never ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from carapax.app.home import Home
from carapax.core.terms.error import SettingsInvalid


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose; everything has a default."""

    workspace: str = ""  # "" = ~/carapax
    host: str = "127.0.0.1"
    port: int = 18790
    tls_cert: str = ""
    tls_key: str = ""
    model_provider: str = ""  # "" = embedded
    model_name: str = ""
    model_base_url: str = ""
    model_secret: str = ""  # a handle, never a value
    model_idle_s: int = 600  # the embedded model's process ends after this long without a request
    search_engine: str = ""  # "" = duckduckgo; brave, tavily, searxng
    search_address: str = ""  # of a SearXNG
    egress_trust: str = ""  # a PEM file of further certificate authorities that services out there may have
    database: str = ""  # "" = one file in the home; postgresql://… for several machines, without a password in it
    engine: str = ""  # what keeps work: "" = embedded with a file, dbos with PostgreSQL
    public_url: str = ""  # where messengers that call reach this gateway: https://…
    transcriber_address: str = ""  # of an OpenAI-compatible service that writes down recordings; "" = none
    transcriber_model: str = "whisper-1"
    transcriber_secret: str = ""  # the handle of its key
    vault_address: str = ""  # of a HashiCorp Vault or OpenBao, for secrets of kind "remote"
    vault_mount: str = "secret"  # its KV version 2 engine
    vault_namespace: str = ""
    vault_role: str = ""  # an AppRole's id; "" = the secret below is a token
    vault_secret: str = "vault-login"  # noqa: S105 - the handle of the token, or of the AppRole's secret id

    def workspace_path(self) -> Path:
        """The workspace's absolute path."""
        return Path(self.workspace).expanduser().absolute() if self.workspace else Path.home() / "carapax"


def load_settings(home: Home, environ: Mapping[str, str]) -> Settings:
    """The file's settings with the environment's on top. Raises SettingsInvalid."""
    try:
        given = tomllib.loads(home.settings.read_text("utf-8"))
    except FileNotFoundError:
        given = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(f"{home.settings} cannot be read as TOML: {error}.") from error
    settings = _checked(given, home)
    if environ.get("CARAPAX_WORKSPACE"):
        settings = replace(settings, workspace=environ["CARAPAX_WORKSPACE"])
    if environ.get("CARAPAX_PORT"):
        settings = replace(settings, port=_port(environ["CARAPAX_PORT"]))
    return settings


def save_settings(home: Home, settings: Settings) -> None:
    """Write what differs from the defaults, atomically. Raises SettingsInvalid when the disk refuses."""
    default = Settings()
    lines = ["# Carapax settings; docs/cli.md says what each means.\n"]
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if value != getattr(default, field.name):
            lines.append(f"{field.name} = {toml_value(value)}\n")
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = home.settings.with_suffix(".new")
        temporary.write_text("".join(lines), "utf-8")
        temporary.replace(home.settings)
    except OSError as error:
        raise SettingsInvalid(f"{home.settings} cannot be written: {error.strerror}.") from error


def _checked(given: Mapping[str, Any], home: Home) -> Settings:
    kinds = {field.name: type(getattr(Settings(), field.name)) for field in fields(Settings)}
    for name, value in given.items():
        if name not in kinds:
            raise SettingsInvalid(f"{home.settings}: {name!r} is not a setting; there are: {', '.join(kinds)}.")
        if type(value) is not kinds[name]:
            raise SettingsInvalid(f"{home.settings}: {name} must be of type {kinds[name].__name__}.")
    settings = Settings(**given)
    _port(str(settings.port))
    return settings


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise SettingsInvalid(f"{text!r} is not a port (0 to 65535; 0 picks a free one).")
    return int(text)


def toml_value(value: str | int) -> str:
    """A value as TOML writes it."""
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
