"""A placeholder in a websocket: in the opening head or a whole text frame; what is no frame ends the connection."""

from __future__ import annotations

import contextlib
import itertools
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from carapax.adapters.egress.proxy.frameswap import TEXT_BYTES, FrameSwap
from carapax.adapters.egress.proxy.webtunnel import Unmask, mask
from carapax.adapters.egress.swap import Misplaced
from carapax.core.terms.error import Malformed

WORD = "placeholder-0123456789abcdef"
VALUE = 'se"cret\\/\u00e9'
HOST = "gate.example"
HEAD = (
    "GET {path} HTTP/1.1\r\nHost: gate.example:443\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


def swapper(value: str = VALUE, word: str = WORD) -> FrameSwap:
    return FrameSwap(word.encode(), value.encode(), HOST, 443, 443)


def head(path: str = "/", *more: str) -> bytes:
    return HEAD.format(path=path, more="".join(f"{field}\r\n" for field in more)).encode()


def opened(value: str = VALUE, word: str = WORD) -> FrameSwap:
    swap = swapper(value, word)
    swap.feed(head())
    return swap


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


def text(content: str, *, fin: bool = True) -> bytes:
    return frame(1, content.encode(), fin=fin)


def payloads(frames: bytes) -> bytes:
    """What another reader of frames finds in them."""
    found = Unmask().feed(frames)
    assert found is not None
    return found


def test_the_head_goes_on_in_one_spelling_and_offers_no_extension() -> None:
    out = swapper().feed(head("/?v=10", "Sec-WebSocket-Extensions: permessage-deflate", "User-Agent: carapax"))
    lines = out.decode().split("\r\n")
    assert lines[0] == "GET /?v=10 HTTP/1.1"
    assert lines[1:4] == ["host: gate.example", "upgrade: websocket", "connection: Upgrade"]
    assert "user-agent: carapax" in lines
    assert b"extensions" not in out
    assert out.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "field", "wanted"),
    [
        ("/", f"Authorization: Bearer {WORD}", b"authorization: Bearer plain-secret\r\n"),
        ("/", f"Authorization: Bot {WORD}", b"authorization: Bot plain-secret\r\n"),
        ("/", f"X-Api-Key: {WORD}", b"x-api-key: plain-secret\r\n"),
        (f"/socket?x=1&token={WORD}", "X-Other: 1", b"GET /socket?x=1&token=plain-secret HTTP/1.1\r\n"),
    ],
)
def test_the_secret_is_put_in_the_head(path: str, field: str, wanted: bytes) -> None:
    out = swapper("plain-secret").feed(head(path, field))
    assert wanted in out
    assert WORD.encode() not in out


def test_an_argument_is_escaped() -> None:
    out = swapper("a&b=c d#\u00e9").feed(head(f"/?token={WORD}&v=1"))
    assert out.startswith(b"GET /?token=a%26b%3Dc%20d%23%C3%A9&v=1 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/{WORD}", "X: 1"),
        (f"/?{WORD}=1", "X: 1"),
        (f"/?a={WORD}&b={WORD}", "X: 1"),
        (f"/?a={WORD}", f"Authorization: Bearer {WORD}"),
        ("/", f"Cookie: {WORD}"),
        ("/", f"Sec-WebSocket-Protocol: {WORD}"),
        ("/", f"Authorization: {WORD}"),
        ("/", f"Authorization: Bearer {WORD}x"),
        ("/", f"X-{WORD}: 1"),
    ],
)
def test_elsewhere_in_the_head_it_is_refused(path: str, field: str) -> None:
    with pytest.raises(Misplaced):
        swapper().feed(head(path, field))


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n",
        head().replace(b"gate.example:443", b"other.example"),
        head().replace(b"GET ", b"POST "),
        head().replace(b"Version: 13", b"Version: 8"),
        head("/", "Transfer-Encoding: chunked"),
        head("/", "Content-Length: 5"),
        head("/", "Connection: keep-alive, upgrade, x-other"),
        head("/", "X: a\nHost: other.example"),
        head("/", "X : a"),
        head("/ HTTP/1.1\r\nHost: other.example\r\nX: /"),
        b"\x16\x03\x01" + bytes(200) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * 70_000,
        b"x" * 65_530 + b"\r\n\r\n" * 3,
    ],
)
def test_what_opens_no_websocket_here_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        swapper().feed(raw)


def test_a_text_frame_gets_the_secret_as_json_writes_it() -> None:
    swap = opened()
    out = swap.feed(text(json.dumps({"op": 2, "d": {"token": WORD, "again": f"Bot {WORD}"}})))
    assert json.loads(payloads(out)) == {"op": 2, "d": {"token": VALUE, "again": f"Bot {VALUE}"}}
    assert payloads(swap.feed(text(f"AUTH {WORD}"))).decode() == f"AUTH {VALUE}"


@pytest.mark.parametrize("size", [0, 1, 60, 96, 97, 98, 125, 126, 127, 65_400, 65_500])
@pytest.mark.parametrize("value", ["s", VALUE, "v" * 300])
def test_a_frame_of_any_length_is_written_anew(size: int, value: str) -> None:
    swap = opened(value)
    before = text("{}")
    out = swap.feed(text("x" * size + WORD) + before)
    assert payloads(out) == b"x" * size + value.encode() + b"{}"
    assert out.endswith(before)


def test_every_other_frame_goes_on_byte_for_byte() -> None:
    swap = opened()
    for given_frame in (
        text("hello"),
        text(""),
        text("\u00e9" * 40_000),
        frame(2, os.urandom(70_000)),
        text("in ", fin=False) + frame(9, b"ping") + frame(0, b"parts"),
        frame(9, b""),
        frame(10, b"x" * 125),
        frame(8, b"\x03\xe8bye"),
    ):
        assert swap.feed(given_frame) == given_frame
    assert (swap.holds, swap.flush()) == (False, b"")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=40).map(text),
            st.just(text(f'{{"t": "{WORD}"}}')),
            st.binary(max_size=300).map(lambda content: frame(2, content)),
            st.binary(max_size=125).map(lambda content: frame(9, content)),
        ),
        max_size=6,
    ),
    st.lists(st.integers(min_value=0, max_value=3000), max_size=10),
)
def test_the_cuts_never_matter(frames: list[bytes], at: list[int]) -> None:
    whole = head() + b"".join(frames)
    marks = [0, *sorted(point % (len(whole) + 1) for point in at), len(whole)]
    swap = swapper()
    pieces = b"".join(swap.feed(whole[a:b]) for a, b in itertools.pairwise(marks))
    assert pieces == swapper().feed(whole)


MISPLACED = {
    "binary": frame(2, b"x" + WORD.encode()),
    "a ping": frame(9, WORD.encode()),
    "a close": frame(8, b"\x03\xe8" + WORD.encode()),
    "a beginning": text(WORD, fin=False),
    "over two fragments": text("x" + WORD[:10], fin=False) + frame(0, WORD[10:].encode()),
    "a long text": text("x" * TEXT_BYTES + WORD),
}


@pytest.mark.parametrize("name", MISPLACED)
@pytest.mark.parametrize("step", [1 << 20, 1000, 7])
def test_where_it_may_not_stand_it_is_refused_before_it_went_on(name: str, step: int) -> None:
    swap, content, out = opened(), MISPLACED[name], bytearray()
    with pytest.raises(Misplaced):
        for at in range(0, len(content), step):
            out += swap.feed(content[at : at + step])
    assert VALUE.encode() not in out


KEY = b"\x01\x02\x03\x04"
TRICKS = {
    "not masked": b"\x81\x05hello",
    "a reserved bit": b"\xc1\x85" + KEY + bytes(5),
    "the second reserved bit": b"\xa1\x85" + KEY + bytes(5),
    "the third reserved bit": b"\x91\x85" + KEY + bytes(5),
    "an opcode that is not one": b"\x83\x80" + KEY,
    "a control opcode that is not one": b"\x8b\x80" + KEY,
    "a control frame in fragments": b"\x09\x80" + KEY,
    "a long control frame": b"\x89\xfe\x00\x80" + KEY,
    "a control frame of 127": b"\x88\xff" + bytes(7) + b"\x7e" + KEY,
    "a length of 127 that is short": b"\x81\xff" + bytes(7) + b"\x05" + KEY,
    "a length of 127 that 126 would hold": b"\x81\xff" + (65_535).to_bytes(8, "big") + KEY,
    "a length of 126 that is short": b"\x81\xfe\x00\x05" + KEY,
    "a length with its first bit": b"\x82\xff\x80" + bytes(7) + KEY,
    "a continuation of nothing": b"\x80\x80" + KEY,
    "a message inside another": b"\x01\x80" + KEY + b"\x01\x80" + KEY,
    "a whole message inside another": b"\x01\x80" + KEY + b"\x81\x80" + KEY,
    "a request in the place of a frame": b"GET / HTTP/1.1\r\n\r\n",
    "tls in the place of a frame": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("name", TRICKS)
def test_what_is_no_frame_of_a_client_is_refused(name: str) -> None:
    for step in (100, 1):
        swap = opened()
        with pytest.raises(Malformed):
            for at in range(0, len(TRICKS[name]), step):
                swap.feed(TRICKS[name][at : at + step])


def test_a_huge_frame_holds_nothing() -> None:
    swap = opened()
    start = b"\x82\xff" + (1 << 62).to_bytes(8, "big") + KEY
    assert swap.feed(start) == start
    for _ in range(3):
        piece = os.urandom(50_000)
        assert swap.feed(piece) == piece


def test_a_text_frame_is_held_until_it_is_whole_and_no_longer() -> None:
    swap, content = opened(), text("x" * 1000)
    assert swap.feed(content[:-1]) == b""
    assert swap.feed(content[-1:]) == content


def test_without_a_secret_frames_are_checked_all_the_same() -> None:
    swap = opened("", "")
    hello = text("hello")
    assert swap.feed(hello) == hello
    with pytest.raises(Malformed):
        swap.feed(b"\xc1\x80" + KEY)


@given(st.binary(max_size=200))
def test_whatever_comes_is_passed_or_refused(content: bytes) -> None:
    for swap in (swapper(), opened()):
        with contextlib.suppress(Malformed, Misplaced):
            assert VALUE.encode() not in swap.feed(content)


@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_a_mask_is_its_own_inverse(content: bytes, key: bytes) -> None:
    assert mask(mask(content, key), key) == content
    assert mask(content, key) == bytes(octet ^ key[at % 4] for at, octet in enumerate(content))
