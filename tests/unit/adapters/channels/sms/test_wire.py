"""Twilio's forms: every vector, whatever else may come, and the text that is signed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.sms import wire
from carapax.core.terms.channel import Button, OutFile, Outgoing, Place, Received
from carapax.core.terms.error import Malformed

VECTORS = sorted((Path(wire.__file__).parent / "vectors").glob("*.json"))
ACCOUNT = "AC" + "0123456789abcdef" * 2
NUMBER = "+15550001111"
ALICE = Place("sms", "+15550100001")
FORM = json.loads(next(path for path in VECTORS if path.stem == "text").read_text("utf-8"))["form"]


def parse(form: dict[str, str], number: str = NUMBER) -> wire.Notice:
    return wire.parse_notice(wire.parse_form(urlencode(form).encode()), "sms", ACCOUNT, number)


def field_of(heard: Received, name: str) -> Any:
    match name:
        case "sender":
            return heard.sender.id
        case "bot":
            return heard.sender.bot
        case "chat" | "private":
            return getattr(heard.place, name)
        case "files":
            return [[file.ref, file.type] for file in heard.files]
    return getattr(heard, name)


def test_the_vectors_are_there() -> None:
    assert len(VECTORS) >= 12


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_says_what_it_should(path: Path) -> None:
    vector = json.loads(path.read_text("utf-8"))
    found = parse(vector["form"])
    assert found.failed == vector["failed"]
    if vector["heard"] is None:
        assert found.heard is None
    else:
        assert found.heard is not None
        assert {name: field_of(found.heard, name) for name in vector["heard"]} == vector["heard"]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_with_anything_in_its_place_is_malformed_or_says_something(path: Path) -> None:
    form = json.loads(path.read_text("utf-8"))["form"]
    for key in form:
        for value in ("", "x", "\x00", "-1", "9" * 30, "²", "https://[", "../..", "+1", "a" * 5_000, "\u2028"):
            with contextlib.suppress(Malformed):
                parse({**form, key: value})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_bytes_are_read_or_malformed(raw: bytes) -> None:
    for parse_it in (wire.parse_form, wire.parse_sent, wire.parse_account, wire.parse_trouble, wire.parse_list):
        with contextlib.suppress(Malformed):
            parse_it(raw)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*FORM, "MediaUrl0", "MediaUrl1", "MessageStatus", "ErrorCode"]), st.text(max_size=40)
    )
)
def test_a_form_is_read_or_malformed(given_: dict[str, str]) -> None:
    with contextlib.suppress(Malformed):
        wire.parse_notice({**FORM, **given_}, "sms", ACCOUNT, NUMBER)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80))
def test_texts_are_read_or_malformed(text: str) -> None:
    wire.url_spellings(text)
    for parse_it in (wire.parse_location, wire.parse_signature, lambda t: wire.render_media_path(ACCOUNT, t)):
        with contextlib.suppress(Malformed):
            parse_it(text)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        wire.parse_form(b"Body=pay+me&Body=nothing")
    with pytest.raises(Malformed):
        wire.parse_form(b"&".join(b"k%d=" % n for n in range(201)))
    with pytest.raises(Malformed):
        wire.parse_form("Body=é".encode())
    assert wire.parse_form(b"Body=a%C3%A9+b&Empty=") == {"Body": "aé b", "Empty": ""}


def test_what_is_signed_is_the_documented_text() -> None:
    # The example of Twilio's documentation.
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert wire.render_signed(url, dict(reversed(form.items()))) == (
        b"https://mycompany.com/myapp.php?foo=1&bar=2CallSidCA1234567890ABCDECaller+12349013030Digits1234"
        b"From+12349013030To+18005551212"
    )


@pytest.mark.parametrize(
    "url, spellings",
    [
        ("https://a.example/x?y=1", ("https://a.example/x?y=1", "https://a.example:443/x?y=1")),
        ("https://a.example:8443/x", ("https://a.example:8443/x", "https://a.example/x")),
        ("http://a.example/x", ("http://a.example/x", "http://a.example:80/x")),
        ("https://[::1]/x", ("https://[::1]/x",)),
        ("https://u@a.example/x", ("https://u@a.example/x",)),
        ("https://a.example:port/", ()),
        ("nothing", ("nothing",)),
    ],
)
def test_an_address_has_two_spellings(url: str, spellings: tuple[str, ...]) -> None:
    assert wire.url_spellings(url) in (spellings, () if url == "nothing" else spellings)


def test_a_messaging_service_is_a_number_of_ours() -> None:
    service = "MG" + "5" * 32
    found = parse({**FORM, "To": "+15550009999", "MessagingServiceSid": service}, number=service)
    assert found.heard is not None
    form = wire.render_message(Outgoing(ALICE, "hi", key="k"), service)
    assert form == {"To": ALICE.chat, "MessagingServiceSid": service, "Body": "hi"}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/2010-04-01/Accounts/AC/Messages/MM/Media/ME",
        "http://api.twilio.com/2010-04-01/Accounts/{account}/Messages/{mm}/Media/{me}",
        "https://api.twilio.com.evil.example/2010-04-01/Accounts/{account}/Messages/{mm}/Media/{me}",
        "https://api.twilio.com/2010-04-01/Accounts/{other}/Messages/{mm}/Media/{me}",
        "https://api.twilio.com/2010-04-01/Accounts/{account}/Messages/{mm}/Media/{me}/../../x",
        "https://u:p@api.twilio.com/2010-04-01/Accounts/{account}/Messages/{mm}/Media/{me}",
    ],
)
def test_a_picture_elsewhere_is_not_taken(url: str) -> None:
    names = {"account": ACCOUNT, "other": "AC" + "f" * 32, "mm": "MM" + "2" * 32, "me": "ME" + "3" * 32}
    with pytest.raises(Malformed):
        parse({**FORM, "NumMedia": "1", "MediaUrl0": url.format(**names), "MediaContentType0": "image/png"})


@pytest.mark.parametrize("count", ["11", "-1", "x", "²", "1.0", "999999999999"])
def test_a_number_of_pictures_that_cannot_be_is_malformed(count: str) -> None:
    with pytest.raises(Malformed):
        parse({**FORM, "NumMedia": count})


@pytest.mark.parametrize(
    "location",
    ["", "/x", "http://mms.twiliocdn.com/x", "https://mms.twiliocdn.com.evil.example/x", "https://mms.twiliocdn.com:444/x",
     "https://evil.example/mms.twiliocdn.com", "https://mms.twiliocdn.com", "https://[::1", "https://127.0.0.1/x"],
)  # fmt: skip
def test_a_redirect_leads_to_twilios_media_hosts_or_nowhere(location: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_location(location)


def test_a_redirect_to_twilios_media_host_is_followed() -> None:
    found = wire.parse_location("https://media.twiliocdn.com/AC1/ME2?Expires=1&Signature=a%2Bb#x")
    assert found == ("https://media.twiliocdn.com", "/AC1/ME2?Expires=1&Signature=a%2Bb")


@pytest.mark.parametrize("ref", ["", "MM1/ME1", "../..", "MM" + "2" * 32, "MM" + "2" * 32 + "/ME" + "3" * 31 + "/"])
def test_a_file_that_is_none_is_malformed(ref: str) -> None:
    with pytest.raises(Malformed):
        wire.render_media_path(ACCOUNT, ref)


@pytest.mark.parametrize("signature", ["", "x", "A" * 28, "AAAA", "é", "=" * 28])
def test_a_signature_is_twenty_bytes(signature: str) -> None:
    with contextlib.suppress(Malformed):
        assert len(wire.parse_signature(signature)) == 20


def test_an_sms_holds_text_alone() -> None:
    file = OutFile("a", "text/plain", b"x")
    for wrong in (
        Outgoing(Place("sms", "alice@example.org"), "x", key="k"),
        Outgoing(Place("sms", "+0"), "x", key="k"),
        Outgoing(ALICE, "", key="k"),
        Outgoing(ALICE, "x", key="k", files=(file,)),
    ):
        with pytest.raises(Malformed):
            wire.render_message(wrong, NUMBER)
    assert wire.render_message(Outgoing(ALICE, "x", key="k", buttons=(Button("a", "b"),)), NUMBER)["Body"] == "x"


LISTED = {"sid": "SM" + "1" * 32, "account_sid": ACCOUNT, "direction": "inbound", "from": "+15550100001", "to": NUMBER,
          "body": "hi", "num_media": "0", "date_sent": "Tue, 01 Dec 2026 15:00:00 +0000"}  # fmt: skip


def test_a_list_is_read_oldest_first_and_without_what_we_sent() -> None:
    later = {**LISTED, "sid": "SM" + "2" * 32, "date_sent": "Tue, 01 Dec 2026 15:00:01 +0000", "num_media": "2"}
    ours = {**LISTED, "direction": "outbound-api"}
    found = wire.parse_list(json.dumps({"messages": [later, LISTED, ours]}).encode())
    assert [(one.form["MessageSid"], one.files) for one in found] == [("SM" + "1" * 32, 0), ("SM" + "2" * 32, 2)]
    assert found[0].sent_ms == 1_796_137_200_000
    assert wire.parse_notice(found[0].form, "sms", ACCOUNT, NUMBER).heard is not None


@pytest.mark.parametrize("key", sorted(LISTED))
def test_a_list_with_anything_in_its_place_is_read_or_malformed(key: str) -> None:
    for value in (None, "x", "", -1, True, [], {}, 1.5, "\ud800", "²", "Tue, 01 Dec 99999 15:00:00 +0000", "a" * 5_000):
        with contextlib.suppress(Malformed):
            for one in wire.parse_list(json.dumps({"messages": [{**LISTED, key: value}]}).encode()):
                wire.parse_notice(one.form, "sms", ACCOUNT, NUMBER)


def test_the_files_of_a_listed_message_are_those_of_its_webhook() -> None:
    message = "MM" + "2" * 32
    raw = json.dumps({"media_list": [{"sid": "ME" + "3" * 32, "content_type": "image/png"}]}).encode()
    form = {**FORM, "MessageSid": message, **wire.parse_media_list(raw, ACCOUNT, message)}
    heard = parse(form).heard
    assert heard is not None and [file.ref for file in heard.files] == [f"{message}/ME" + "3" * 32]
    with pytest.raises(Malformed):
        wire.render_message_path(ACCOUNT, "../x")
