"""Values in disguise, scrubbing, and where placeholders may stand."""

from __future__ import annotations

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.egress.proxy.body import Look
from carapax.adapters.egress.proxy.credentials import (
    Mismatch,
    binding_fits,
    filled,
    is_credential,
    slots_of,
)
from carapax.adapters.egress.proxy.disguise import MIN_BYTES, Stream, Watch, forms_of
from carapax.adapters.egress.proxy.head import RequestHead, parse_request
from carapax.adapters.egress.proxy.scrub import Scrubber
from carapax.adapters.egress.proxy.webtunnel import Unmask
from carapax.core.terms.egress import Binding
from carapax.core.terms.error import Malformed

VALUE = b"Secret+Value/0451~x"
values = st.binary(min_size=8, max_size=40)
rests = st.binary(max_size=30)


@given(values, rests, rests)
def test_a_value_is_found_in_base64_and_hex_at_any_alignment(value: bytes, before: bytes, behind: bytes) -> None:
    watch = Watch({"it": value})
    for whole in (
        base64.b64encode(before + value + behind),
        base64.urlsafe_b64encode(before + value + behind),
        (before + value + behind).hex().encode(),
        before + value + behind,
        before + value[::-1] + behind,
        "".join(f"%{octet:02X}" for octet in before + value).encode(),
    ):
        assert watch.found_in_text(whole) == ["it"]


@given(values, rests)
def test_a_value_is_not_found_where_it_is_not(value: bytes, other: bytes) -> None:
    if value not in other and value[::-1] not in other:
        shown = [form for form in forms_of(value) if form in other]
        assert Watch({"it": value}).found(other) == (["it"] if shown else [])


@given(rests, rests, st.sampled_from(range(20)))
def test_a_shared_beginning_finds_whatever_the_forms_find(before: bytes, behind: bytes, number: int) -> None:
    words = {name: b"placeholder-0123456789" + name.encode() * 9 for name in ("ab", "cd")}
    marked, plain = Watch(words, b"placeholder-0123456789"), Watch(words)
    form = forms_of(words["cd"])[number]
    assert marked.found(before + form + behind) == plain.found(before + form + behind) == ["cd"]


def test_short_values_have_no_forms() -> None:
    assert forms_of(b"a" * (MIN_BYTES - 1)) == ()
    assert Watch({"it": b"abc"}).found(b"abc") == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), rests, rests)
def test_scrubbing_does_not_depend_on_the_pieces(cuts: list[int], before: bytes, behind: bytes) -> None:
    for form in forms_of(VALUE)[:8]:
        text = before + form + behind
        scrubber, out, at, turn = Scrubber([VALUE]), b"", 0, 0
        while at < len(text):
            size = cuts[turn % len(cuts)]
            out += scrubber.feed(text[at : at + size])
            at, turn = at + size, turn + 1
        out += scrubber.flush()
        assert len(out) == len(text)
        assert not any(each in out for each in forms_of(VALUE))
        assert scrubber.hits >= 1


@given(st.lists(st.binary(max_size=50), max_size=9))
def test_without_a_secret_everything_passes_at_once(parts: list[bytes]) -> None:
    plain = Scrubber([])
    assert [plain.feed(part) for part in parts] == parts
    scrubber = Scrubber([b"no such value in here"])
    assert b"".join(map(scrubber.feed, parts)) + scrubber.flush() == b"".join(parts)


def test_an_event_is_not_held_back() -> None:
    assert Scrubber([VALUE]).feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert VALUE.decode() not in repr(Scrubber([VALUE]))
    assert VALUE.decode() not in repr(Watch({"it": VALUE}))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=9))
def test_a_stream_finds_what_is_split(cuts: list[int]) -> None:
    text, at, turn, found = b"xx" + VALUE + b"yy", 0, 0, []
    stream = Stream(Watch({"it": VALUE}))
    while at < len(text):
        found += stream.feed(text[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    assert "it" in found


def test_packed_bodies_are_looked_into() -> None:
    watch = Watch({"it": VALUE})
    packed = gzip.compress(b"a" * 5_000 + VALUE)
    assert Look("gzip", watch).feed(packed) == [["it"]]
    look = Look("deflate", watch)
    stream = zlib.compress(b"b" * 300 + VALUE)
    assert any(name for at in range(0, len(stream), 5) for name in look.feed(stream[at : at + 5])[0])
    with pytest.raises(Malformed):
        Look("br", watch)
    with pytest.raises(Malformed):
        Look("gzip", watch).feed(b"this is not packed")
    with pytest.raises(Malformed):
        Look("gzip", watch).feed(packed + VALUE)
    with pytest.raises(Malformed):
        Look("gzip", watch).feed(gzip.compress(bytes(70_000_000)))


BINDING = Binding("key", "api.example", 443, ("GET",), "/v1", "authorization", "Bearer ")
WORDS = {"key": "placeholder-0123456789abcdef", "other": "placeholder-fedcba9876543210"}


WATCH = Watch({handle: word.encode() for handle, word in WORDS.items()}, b"placeholder-")


def head(*fields: str, path: str = "/v1/x", host: str = "api.example") -> RequestHead:
    text = "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {host}", *fields)) + "\r\n\r\n"
    return parse_request(text.encode(), host, 443)


def test_a_slot_is_filled_and_nothing_else_changes() -> None:
    found = head("X: 1", f"Authorization: Bearer {WORDS['key']}")
    slots = slots_of(found, "api.example", 443, [BINDING], WORDS, WATCH)
    assert [slot.handle for slot in slots] == ["key"]
    after = filled(found.headers, slots, {"key": VALUE})
    assert after == (("host", b"api.example"), ("x", b"1"), ("authorization", b"Bearer " + VALUE))


def test_basic_is_filled_as_password_and_as_name() -> None:
    for plain, wanted in ((f"me:{WORDS['key']}", b"me:" + VALUE), (f"{WORDS['key']}:", VALUE + b":")):
        found = head(f"Authorization: Basic {base64.b64encode(plain.encode()).decode()}")
        slots = slots_of(found, "api.example", 443, [BINDING], WORDS, WATCH)
        shown = dict(filled(found.headers, slots, {"key": VALUE}))["authorization"]
        assert base64.b64decode(shown[6:]) == wanted


@pytest.mark.parametrize(
    "field",
    [
        f"Authorization: Bearer {WORDS['other']}", f"X-Api-Key: {WORDS['key']}", f"Authorization: Bearer  {WORDS['key']}",
        "Authorization: Bearer own", f"Authorization: Basic {base64.b64encode(('a:x' + WORDS['key']).encode()).decode()}",
    ],
)  # fmt: skip
def test_anything_else_is_a_mismatch(field: str) -> None:
    with pytest.raises(Mismatch) as caught:
        slots_of(head(field), "api.example", 443, [BINDING], WORDS, WATCH)
    assert WORDS["key"] not in str(caught.value)
    assert "own" not in str(caught.value).replace("program's own", "")


def test_a_host_without_a_binding_takes_credentials_of_ones_own() -> None:
    found = head("Authorization: Bearer own", "Cookie: a=b", path="/?key=1", host="free.example")
    assert slots_of(found, "free.example", 443, [BINDING], WORDS, WATCH) == ()
    # Bound at another port is bound all the same.
    with pytest.raises(Mismatch):
        slots_of(head("Cookie: a=b"), "api.example", 443, [Binding("key", "api.example", 8443)], WORDS, WATCH)


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "x-api-key", "private-token", "x-amz-security-token", "x-client-secret"]
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential(name)


@pytest.mark.parametrize("name", ["accept", "content-type", "user-agent", "x-request-id", "sec-websocket-key", "idempotency-key",
                                  "if-none-match", "anthropic-version", "openai-organization", "x-stainless-lang"])  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    assert not is_credential(name)


@pytest.mark.parametrize(
    ("path", "fits"),
    [("/v1", True), ("/v1/", True), ("/v1/a?x=/../", True), ("/v1?x", True), ("/v10", False), ("/", False), ("/v1/..", False),
     ("/v1/./a", False), ("/v1//a", False), ("/v1/%2E%2e/a", False), ("/v1/a%2fb", False), ("/v1/a%5cb", False)],
)  # fmt: skip
def test_a_bound_path_is_a_prefix_at_a_segments_end(path: str, fits: bool) -> None:
    assert binding_fits(BINDING, "api.example", 443, "GET", path) is fits
    assert not binding_fits(BINDING, "api.example", 443, "POST", path)
    assert not binding_fits(BINDING, "api.example", 444, "GET", path)
    assert not binding_fits(BINDING, "sub.api.example", 443, "GET", path)
    assert binding_fits(Binding("key", "api.example"), "api.example", 443, "POST", path)


def frame(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    lead = bytes([0x82, 0x80 | size]) if size < 126 else bytes([0x82, 0xFE]) + size.to_bytes(2, "big")
    return lead + key + bytes(octet ^ key[at % 4] for at, octet in enumerate(payload))


@given(
    st.lists(st.tuples(st.binary(max_size=200), st.binary(min_size=4, max_size=4)), max_size=5),
    st.lists(st.integers(1, 11), min_size=1),
)
def test_frames_are_unmasked_however_they_are_split(frames: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    wire = b"".join(frame(payload, key) for payload, key in frames)
    reader, out, at, turn = Unmask(), b"", 0, 0
    while at < len(wire):
        size = cuts[turn % len(cuts)]
        got = reader.feed(wire[at : at + size])
        assert got is not None
        out += got
        at, turn = at + size, turn + 1
    assert out == b"".join(payload for payload, _ in frames)


def test_a_long_frame_is_unmasked_and_an_unmasked_one_refused() -> None:
    payload = b"z" * 70_000
    key = b"abcd"
    lead = bytes([0x82, 0xFF]) + len(payload).to_bytes(8, "big") + key
    masked = bytes(octet ^ key[at % 4] for at, octet in enumerate(payload))
    assert Unmask().feed(lead + masked) == payload
    assert Unmask().feed(b"\x81\x05hello") is None
    assert Unmask().feed(b"\xc1\x85") is None
