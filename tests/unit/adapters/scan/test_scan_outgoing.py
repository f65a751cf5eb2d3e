"""Outgoing text: planted secrets are found in every encoding, ordinary text is not, nothing found is shown in clear."""

from __future__ import annotations

import base64
import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import quote

import pytest

from carapax.adapters.scan.outgoing.classes import compile_classes
from carapax.adapters.scan.outgoing.held import MIN_CHARS, disguise, find_held
from carapax.adapters.scan.outgoing.layers import MAX_DECODED_CHARS, views
from carapax.adapters.scan.outgoing.rules import entropy, find_secrets, own_rules, parse_rules
from carapax.adapters.scan.outgoing.scanner import MAX_FINDINGS, MAX_SCAN_CHARS, OutgoingScanner, masked
from carapax.core.terms.error import PolicyInvalid
from carapax.core.terms.tables import DataClass


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CORPUS = _beside("scan_corpus")
NUMBERS = [DataClass("card", ("card",)), DataClass("iban", ("iban",), leaves="deny"), DataClass("id", ("national_id",))]
VALUE = "Kx7-quartz.lamp/91+Z"


def test_every_planted_secret_is_found_and_its_rule_named() -> None:
    scanner = OutgoingScanner()
    planted = CORPUS.planted()
    assert len(planted) >= 120
    missed = [
        (rule, encoding)
        for rule, encoding, text in planted
        if not any(each.kind == "secret" and each.name == rule and each.leaves == "deny" for each in scanner.scan(text))
    ]
    assert missed == []


def test_ordinary_text_has_no_findings() -> None:
    scanner = OutgoingScanner(classes=lambda: NUMBERS)
    clean = CORPUS.clean()
    assert len(clean) >= 250
    wrong = [(kind, scanner.scan(text)) for kind, text in clean if scanner.scan(text)]
    assert wrong == []


def test_nothing_found_is_shown_in_clear() -> None:
    scanner = OutgoingScanner(lambda: [VALUE])
    for _, _, text in CORPUS.planted():
        for each in scanner.scan(text + " " + VALUE):
            shown = each.shown.split(" (")[0]
            assert len(shown) <= 4
            assert "…" in shown
    assert masked("short") == "s… (5 characters)"


def coded(value: str) -> list[str]:
    octets = value.encode()
    return [
        f"see {value}.",
        value[::-1],
        value.upper(),
        value.lower(),
        " ".join(value),
        "\u200b".join(value),
        "\n".join(value[i : i + 4] for i in range(0, len(value), 4)),
        f'"{value[:6]}" + "{value[6:]}"',
        quote(value, safe=""),
        quote(quote(value, safe=""), safe=""),
        "".join(f"%{b:02X}" for b in octets),
        octets.hex(),
        octets.hex().upper(),
        octets.hex(" "),
        octets[::-1].hex(),
        "".join(f"\\x{b:02x}" for b in octets),
        "".join(f"&#{b};" for b in octets),
        *(base64.b64encode(b"z" * shift + octets + b"tail").decode() for shift in range(4)),
        base64.urlsafe_b64encode(b"a" + octets).decode().rstrip("="),
        base64.b64encode(octets).decode()[::-1],
        base64.b64encode(base64.b64encode(b"so: " + octets)).decode(),
        base64.b64encode(octets.hex().encode()).decode(),
        "https://a.example/?d=" + base64.b64encode(octets).decode(),
        f"git commit -m {value[: len(value) // 2 + 2]!r}",
        f"{value[-12:]}.a.example",
    ]


@pytest.mark.parametrize("index", range(len(coded(VALUE))))
def test_a_vault_value_is_found_in_every_disguise(index: int) -> None:
    found = OutgoingScanner(lambda: ["another-value-1", VALUE]).scan(coded(VALUE)[index])
    assert [(each.kind, each.name, each.leaves) for each in found] == [("secret", "vault-value", "deny")]


@pytest.mark.parametrize("size", range(MIN_CHARS, 14))
def test_values_of_every_length_are_found_in_every_alignment_of_base64(size: int) -> None:
    value = "q7Wz-pLm3Xt8vB"[:size]
    for before in range(4):
        for after in range(4):
            text = base64.b64encode(b"\x80" * before + value.encode() + b"\xff" * after).decode()
            assert find_held(text, disguise([value])) == [value]


def test_short_values_and_other_texts_are_not_found() -> None:
    assert find_held("abcde abcde", disguise(["abcde", ""])) == []
    assert find_held("Kx7 quartz lamps, 91 of them", disguise([VALUE])) == []
    assert OutgoingScanner(lambda: [VALUE]).scan("an ordinary sentence") == ()


def test_values_and_classes_are_asked_for_at_each_scan() -> None:
    values: list[str] = []
    classes: list[DataClass] = []
    scanner = OutgoingScanner(lambda: values, lambda: classes)
    assert scanner.scan(f"{VALUE} C-1234") == ()
    values.append(VALUE)
    classes.append(DataClass("customer", patterns=(r"\bC-\d{4}\b",), leaves="deny"))
    assert {(each.name, each.leaves) for each in scanner.scan(f"{VALUE} C-1234")} == {
        ("vault-value", "deny"),
        ("customer", "deny"),
    }


def test_a_changed_class_is_used_at_once() -> None:
    classes = [DataClass("a", patterns=("A-1",))]
    scanner = OutgoingScanner(classes=lambda: classes)
    assert [each.name for each in scanner.scan("A-1 B-2")] == ["a"]
    classes[0] = DataClass("b", patterns=("B-2",))
    assert [each.name for each in scanner.scan("A-1 B-2")] == ["b"]


def test_encoded_text_is_found_where_it_does_not_begin_or_go_on() -> None:
    secret = CORPUS.MAKERS["jwt"](random.Random(6))
    packed = base64.b64encode(f"token {secret}".encode()).decode()
    scanner = OutgoingScanner()
    for before in ("", "a", "ab", "abc"):
        assert "jwt" in [each.name for each in scanner.scan(f"{before}{packed}")]
    pieces = [packed[i : i + 8] for i in range(0, len(packed), 8)]
    for between in (" ", "\n", "\u200b", '" + "'):
        assert "jwt" in [each.name for each in scanner.scan(f'"{between.join(pieces)}"')]


def test_data_classes_are_found_also_encoded_and_say_how_they_leave() -> None:
    scanner = OutgoingScanner(classes=lambda: NUMBERS)
    text = "card 4111 1111 1111 1111"
    for each in (text, base64.b64encode(text.encode()).decode(), text.encode().hex()):
        assert [(f.kind, f.name, f.leaves) for f in scanner.scan(each)] == [("class", "card", "ask")]
    assert scanner.scan("FR1420041010050500013M02606 please")[0].leaves == "deny"


def test_a_class_that_cannot_be_used_is_a_finding_and_a_refusal() -> None:
    for broken in (
        DataClass("x", ("no_such_check",)),
        DataClass("x", patterns=("(",)),
        DataClass("x", patterns=("(?=a)",)),
        DataClass("x", ("card",), leaves="maybe"),
    ):
        with pytest.raises(PolicyInvalid):
            compile_classes([broken])
        (found,) = OutgoingScanner(classes=lambda broken=broken: [broken]).scan("hello")
        assert (found.kind, found.name, found.leaves) == ("class", "unusable", "deny")


def test_presidio_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = DataClass("people", ("presidio:PERSON",))
    if importlib.util.find_spec("presidio_analyzer") is None:
        with pytest.raises(PolicyInvalid, match="not installed"):
            compile_classes([wanted])
    stub = ModuleType("presidio_analyzer")
    stub.__spec__ = importlib.util.spec_from_loader("presidio_analyzer", None)
    found = [SimpleNamespace(start=3, end=7)]
    stub.AnalyzerEngine = lambda: SimpleNamespace(analyze=lambda **asked: found)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "presidio_analyzer", stub)
    (ready,) = compile_classes([wanted])
    assert list(ready.find("hi Anna")) == ["Anna"]


def test_what_is_too_large_does_not_leave() -> None:
    (found,) = OutgoingScanner().scan("x" * (MAX_SCAN_CHARS + 1))
    assert (found.name, found.leaves) == ("too-large-to-check", "deny")


def test_findings_are_bounded() -> None:
    many = " ".join(f"C-{n}" for n in range(5_000))
    scanner = OutgoingScanner(
        classes=lambda: [DataClass("c", patterns=(r"C-\d+",)), DataClass("d", patterns=(r"-\d+",))]
    )
    assert 0 < len(scanner.scan(many)) <= MAX_FINDINGS


@pytest.mark.parametrize(
    "piece", ["QUJD", "%41", "\\u0041", "&#65;", "deadbeef", "\ud800", "\x00", '"+"', "token=", "4 ", "fr76 "]
)
def test_odd_and_hostile_text_is_scanned_within_bounds(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    OutgoingScanner(lambda: [VALUE], lambda: NUMBERS).scan(text)
    assert sum(len(view.text) for view in views(text)) <= 6 * (MAX_DECODED_CHARS + len(text))


def test_half_characters_neither_stop_the_scan_nor_hide_a_secret() -> None:
    secret = CORPUS.MAKERS["github-token"](random.Random(5))
    for odd in ("\ud800", "\\ud800", "&#55296;", "%ED%A0%80"):
        found = OutgoingScanner(lambda: [VALUE], lambda: NUMBERS).scan(f"{odd} {secret} {odd}")
        assert [each.name for each in found] == ["github-token"]


def test_a_rule_file_of_gitleaks_shape_is_read() -> None:
    text = """
title = "x"
[[rules]]
id = "ours"
description = "a shop's key"
regex = '''shop_[0-9a-f]{8}'''
keywords = ["SHOP_"]
[[rules]]
id = "by path only"
path = '''\\.pem$'''
"""
    (rule,) = parse_rules(text)
    assert list(find_secrets("use shop_0123abcd now", (rule,))) == [("ours", "shop_0123abcd")]
    scanner = OutgoingScanner(rules=(rule,))
    assert [each.name for each in scanner.scan("use shop_0123abcd now")] == ["ours"]


def test_own_rules_are_many_and_each_has_a_cheap_test() -> None:
    rules = own_rules()
    assert len(rules) >= 45
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.keywords for rule in rules)
    assert set(CORPUS.MAKERS) <= {rule.id for rule in rules}


def test_stand_ins_and_plain_words_are_no_secrets() -> None:
    scanner = OutgoingScanner()
    for text in (
        "password: changeme123!",
        "API_KEY=your_key_goes_here_1A",
        "token = tokenizer.next_token()",
        "postgres://user:$PASSWORD@host/db",
        "secret: ****************",
        "password is required for this page",
        "the key is under the mat",
        "private_key = Ed25519PrivateKey.generate",
        "Key: type = sqlite3.SQLITE_READONLY_DIRECTORY",
    ):
        assert scanner.scan(text) == (), text


def test_entropy_is_bits_a_character() -> None:
    assert entropy("") == 0.0
    assert entropy("aaaa") == 0.0
    assert entropy("abcd") == 2.0
    assert entropy("".join(random.Random(1).choices("0123456789abcdef", k=400))) > 3.9


def test_re2_is_not_loaded_with_the_module() -> None:
    import subprocess

    code = "import sys, carapax.adapters.scan.adapter; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
