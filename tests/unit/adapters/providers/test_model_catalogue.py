"""Which model is used, and what a mistake in naming it says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from carapax.adapters.providers.catalogue import (
    EMBEDDED,
    SECRET_VARIABLES,
    SERVICES,
    ModelSettings,
    choose_model,
)
from carapax.core.terms.error import SettingsInvalid


def test_without_anything_the_embedded_model_is_used() -> None:
    choice = choose_model(ModelSettings(), {})
    assert (choice.provider, choice.host, choice.secret, choice.chosen_by) == (EMBEDDED, "", "", "default")


@pytest.mark.parametrize(
    ("wanted", "provider", "model", "base_url"),
    [
        ("openai/gpt-5", "openai", "gpt-5", "https://api.openai.com/v1"),
        ("openai", "openai", SERVICES["openai"].model, "https://api.openai.com/v1"),
        ("ollama/qwen3", "ollama", "qwen3", "http://127.0.0.1:11434/v1"),
        ("openrouter/some/model:free", "openrouter", "some/model:free", "https://openrouter.ai/api/v1"),
        ("Anthropic/claude-x", "anthropic", "claude-x", "https://api.anthropic.com"),
        ("http://127.0.0.1:8080/v1#name", "compatible", "name", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080/v1#a/b", "compatible", "a/b", "http://[::1]:8080/v1"),
        ("https://models.example/v1#m", "compatible", "m", "https://models.example/v1"),
        ("embedded", EMBEDDED, "", ""),
        (" openai ", "openai", SERVICES["openai"].model, "https://api.openai.com/v1"),
    ],
)
def test_the_environment_names_a_model(wanted: str, provider: str, model: str, base_url: str) -> None:
    choice = choose_model(ModelSettings(), {"CARAPAX_MODEL": wanted})
    assert (choice.provider, choice.model, choice.base_url) == (provider, model, base_url)
    assert choice.chosen_by == "CARAPAX_MODEL"


def test_settings_come_before_the_environment() -> None:
    choice = choose_model(ModelSettings(provider="mistral", model="m"), {"CARAPAX_MODEL": "openai/gpt-5"})
    assert (choice.provider, choice.model, choice.chosen_by) == ("mistral", "m", "settings")


def test_an_address_alone_means_a_compatible_server() -> None:
    choice = choose_model(ModelSettings(base_url="http://localhost:1234/v1", model="m"), {})
    assert (choice.provider, choice.wire, choice.host) == ("compatible", "openai", "")


def test_a_key_is_sent_where_one_is_needed_named_or_set() -> None:
    local = ModelSettings(base_url="http://localhost:1234/v1", model="m")
    assert choose_model(local, {}).secret == ""
    assert choose_model(local, {"CARAPAX_MODEL_KEY": "k"}).secret == "compatible"
    assert choose_model(ModelSettings(provider="openai"), {}).secret == "openai"
    assert choose_model(ModelSettings(provider="ollama", secret="mine"), {}).secret == "mine"


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("opnai/gpt-5", "openai"), ("antropic", "anthropic"), ("olama/qwen3", "ollama"), ("embeded", "embedded")],
)
def test_a_mistyped_service_suggests_the_nearest(wanted: str, near: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        choose_model(ModelSettings(), {"CARAPAX_MODEL": wanted})
    assert f"Did you mean {near!r}?" in refusal.value.next_step


def test_an_unlike_name_lists_what_is_known() -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        choose_model(ModelSettings(provider="zzzzzz"), {})
    assert "Did you mean" not in refusal.value.next_step and "openrouter" in refusal.value.next_step


@pytest.mark.parametrize(
    "wanted",
    [
        "http://127.0.0.1:8080/v1",
        "http://models.example/v1#m",
        "http://10.0.0.7/v1#m",
        "ftp://127.0.0.1/#m",
        "https:///v1#m",
        "https://user:key@models.example/v1#m",
        "https://models.example/v1?key=x#m",
        "http://127.0.0.1:port/v1#m",
        "http://[::1/v1#m",
    ],
)
def test_an_unusable_address_is_refused_without_being_quoted(wanted: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        choose_model(ModelSettings(), {"CARAPAX_MODEL": wanted})
    assert "user:key" not in refusal.value.what + refusal.value.next_step


def test_the_catalogue_is_whole() -> None:
    assert {"openai", "anthropic", "google", "mistral", "openrouter", "ollama"} <= SERVICES.keys()
    for name, service in SERVICES.items():
        assert service.id == name and service.wire in ("openai", "anthropic")
        assert service.wire == ("anthropic" if name == "anthropic" else "openai")
        assert SECRET_VARIABLES[service.secret] == service.variable
        if service.needs_key:
            assert urlsplit(service.base_url).scheme == "https" and service.model
