"""The services we know by name, and the choice of one model from settings and environment.

Layer: adapters/providers. Owns addresses, wires and default models as data, and `choose_model`, which is pure.
Absent: keys (only their handles and variable names are here), and any contact with a service.
Order of the choice: settings, then CARAPAX_MODEL, then the embedded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from carapax.core.terms.error import SettingsInvalid

Wire = Literal["openai", "anthropic", ""]

EMBEDDED = "embedded"
COMPATIBLE = "compatible"
MODEL_VARIABLE = "CARAPAX_MODEL"
CONTEXT_TOKENS = 128_000


@dataclass(frozen=True, slots=True)
class Service:
    """One service: where it is, what it speaks, which secret it takes."""

    id: str
    label: str
    base_url: str
    wire: Wire
    secret: str  # the handle in the vault
    variable: str  # the environment variable that may hold the key
    model: str  # used when none is named
    needs_key: bool
    context_tokens: int = CONTEXT_TOKENS
    priced: bool = True  # its prices are in the public list


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the operator set. `secret` is a handle; "" takes the service's own."""

    provider: str = EMBEDDED
    model: str = ""
    base_url: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model is used. `secret` "" sends no key; `host` "" means nothing leaves this machine."""

    provider: str
    label: str
    model: str
    base_url: str
    wire: Wire
    secret: str
    host: str
    context_tokens: int
    priced: bool
    chosen_by: str  # "settings", "CARAPAX_MODEL" or "default"


SERVICES: Mapping[str, Service] = MappingProxyType(
    {
        service.id: service
        for service in (
            Service(
                "openai", "OpenAI", "https://api.openai.com/v1", "openai", "openai", "OPENAI_API_KEY", "gpt-5", True
            ),
            Service(
                "anthropic",
                "Anthropic",
                "https://api.anthropic.com",
                "anthropic",
                "anthropic",
                "ANTHROPIC_API_KEY",
                "claude-sonnet-4-6",
                True,
            ),
            Service(
                "google",
                "Google",
                "https://generativelanguage.googleapis.com/v1beta/openai",
                "openai",
                "google",
                "GEMINI_API_KEY",
                "gemini-2.5-flash",
                True,
            ),
            Service(
                "mistral",
                "Mistral",
                "https://api.mistral.ai/v1",
                "openai",
                "mistral",
                "MISTRAL_API_KEY",
                "mistral-large-latest",
                True,
            ),
            Service(
                "openrouter",
                "OpenRouter",
                "https://openrouter.ai/api/v1",
                "openai",
                "openrouter",
                "OPENROUTER_API_KEY",
                "openrouter/auto",
                True,
            ),
            Service(
                "ollama",
                "Ollama",
                "http://127.0.0.1:11434/v1",
                "openai",
                "ollama",
                "OLLAMA_API_KEY",
                "qwen3",
                False,
                context_tokens=32_000,
                priced=False,
            ),
            Service(
                COMPATIBLE,
                "The model server",
                "",
                "openai",
                COMPATIBLE,
                "CARAPAX_MODEL_KEY",
                "",
                False,
                priced=False,
            ),
        )
    }
)

# For the vault: which variable may stand for which handle.
SECRET_VARIABLES: Mapping[str, str] = MappingProxyType({s.secret: s.variable for s in SERVICES.values()})


def choose_model(settings: ModelSettings, environ: Mapping[str, str]) -> ModelChoice:
    """The model to use. Raises SettingsInvalid for an unknown service, a missing model name or a bad address."""
    if settings != ModelSettings():
        return _from_settings(settings, environ, "settings")
    if wanted := environ.get(MODEL_VARIABLE, "").strip():
        return _from_settings(_parse_wanted(wanted), environ, MODEL_VARIABLE)
    return _embedded("default")


def _parse_wanted(wanted: str) -> ModelSettings:
    if "://" in wanted:
        address, _, model = wanted.partition("#")
        return ModelSettings(provider=COMPATIBLE, model=model, base_url=address)
    provider, _, model = wanted.partition("/")
    return ModelSettings(provider=provider, model=model)


def _from_settings(settings: ModelSettings, environ: Mapping[str, str], chosen_by: str) -> ModelChoice:
    provider = settings.provider.strip().lower()
    if provider == EMBEDDED and settings.base_url:
        provider = COMPATIBLE
    if provider == EMBEDDED:
        return _embedded(chosen_by, settings.model)
    service = SERVICES.get(provider)
    if service is None:
        raise _unknown_service(settings.provider, chosen_by)
    model = settings.model.strip() or service.model
    if not model:
        raise SettingsInvalid(
            f"No model is named for {settings.base_url or service.label} ({chosen_by}).",
            next_step="Name one, as in CARAPAX_MODEL=http://127.0.0.1:8080/v1#name.",
        )
    base_url = settings.base_url.strip() or service.base_url
    host = _host(base_url, chosen_by)
    has_key = service.needs_key or bool(environ.get(service.variable, "").strip())
    return ModelChoice(
        provider=service.id,
        label=service.label,
        model=model,
        base_url=base_url,
        wire=service.wire,
        secret=settings.secret or (service.secret if has_key else ""),
        host="" if _is_loopback(host) else host,
        context_tokens=service.context_tokens,
        priced=service.priced,
        chosen_by=chosen_by,
    )


def _embedded(chosen_by: str, model: str = "") -> ModelChoice:
    return ModelChoice(EMBEDDED, "Embedded", model, "", "", "", "", 0, False, chosen_by)


def _unknown_service(name: str, chosen_by: str) -> SettingsInvalid:
    known = [EMBEDDED, *SERVICES]
    near = get_close_matches(name.strip().lower(), known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return SettingsInvalid(
        f"There is no model service named {name[:64]!r} ({chosen_by}).",
        next_step=f"{hint}Known: {', '.join(known)}; or an address such as http://127.0.0.1:8080/v1#name.",
    )


def _host(base_url: str, chosen_by: str) -> str:
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        _ = parts.port  # raises for a port that is not a number
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.fragment or parts.query:
        raise SettingsInvalid(
            f"The address of the model is not usable ({chosen_by}).",
            next_step="Write it as https://host/path, or http://127.0.0.1:port/path on this machine, without a key.",
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsInvalid(
            f"The address of the model sends everything in clear to {host} ({chosen_by}).",
            next_step="Use https://, or a tunnel that ends on this machine.",
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
