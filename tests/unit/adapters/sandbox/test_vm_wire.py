"""What goes into a machine and what comes out: the second was written by an enemy."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.sandbox.vm.wire import (
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    Ceilings,
    Frames,
    Order,
    Record,
    parse_archive,
    render_archive,
    render_order,
    render_seed,
)
from carapax.core.terms.error import Malformed

TREE = (
    Record("d", b"a", 0o755, 5),
    Record("f", b"a/b", 0o640, 1_700_000_000_123_456_789, b"content\0\n"),
    Record("l", b"a/c", 0o777, 0, b"../../etc/passwd"),
    Record("f", b"\xff\xfe", 0, 0),
)


def test_a_copy_that_is_rendered_parses_to_the_same() -> None:
    assert parse_archive(render_archive(TREE), 4) == TREE
    assert parse_archive(render_archive(()), 0) == ()


def test_more_files_than_allowed_are_refused() -> None:
    with pytest.raises(Malformed, match="too many files"):
        parse_archive(render_archive(TREE), 3)


@pytest.mark.parametrize("path", [b"", b".", b"..", b"/a", b"a/", b"a//b", b"a/../b", b"a/./b", b"a\0b", b"x" * 256])
def test_a_path_that_is_not_plain_is_refused(path: bytes) -> None:
    records = (Record("d", b"a", 0o755, 0), Record("f", path, 0o644, 0))
    with pytest.raises(Malformed):
        parse_archive(render_archive(records), 9)


def test_a_path_that_is_too_deep_is_refused() -> None:
    parts = [b"/".join([b"d"] * n) for n in range(1, MAX_DEPTH + 2)]
    fits = tuple(Record("d", path, 0o755, 0) for path in parts[:-1])
    assert len(parse_archive(render_archive(fits), 99)) == MAX_DEPTH
    with pytest.raises(Malformed, match="not plain"):
        parse_archive(render_archive((*fits, Record("d", parts[-1], 0o755, 0))), 99)


@pytest.mark.parametrize(
    "records",
    [
        (Record("f", b"a", 0o644, 0), Record("f", b"a", 0o644, 0)),  # twice
        (Record("f", b"a/b", 0o644, 0),),  # in no folder
        (Record("l", b"a", 0o777, 0, b"/etc"), Record("f", b"a/passwd", 0o644, 0)),  # through a link
        (Record("f", b"a", 0o644, 0), Record("f", b"a/b", 0o644, 0)),  # in a file
    ],
)
def test_a_file_lies_in_exactly_one_folder_that_was_named_before(records: tuple[Record, ...]) -> None:
    with pytest.raises(Malformed, match="twice, or one that lies in no folder"):
        parse_archive(render_archive(records), 9)


@pytest.mark.parametrize(
    "record",
    [Record("c", b"a", 0, 0), Record("d", b"a", 0, 0, b"x"), Record("l", b"a", 0, 0), Record("l", b"a", 0, 0, b"x\0y")],
)
def test_only_files_folders_and_links_come_out(record: Record) -> None:
    with pytest.raises(Malformed):
        parse_archive(render_archive((record,)), 9)


def test_a_set_user_id_bit_does_not_come_out() -> None:
    set_id = bytearray(render_archive((Record("f", b"a", 0o755, 0),)))
    set_id[1:5] = struct.pack(">I", 0o4755)
    with pytest.raises(Malformed):
        parse_archive(bytes(set_id), 9)


def test_a_copy_that_ends_early_or_goes_on_is_refused() -> None:
    whole = render_archive(TREE)
    for cut in range(len(whole)):
        with pytest.raises(Malformed):
            parse_archive(whole[:cut], 9)
    with pytest.raises(Malformed, match="goes on"):
        parse_archive(whole + b"z", 9)


@given(st.binary(max_size=200))
def test_whatever_comes_out_parses_or_is_malformed(data: bytes) -> None:
    try:
        found = parse_archive(data, 5)
    except Malformed:
        return
    assert render_archive(found) == data


def test_frames_are_cut_wherever_the_bytes_break() -> None:
    said = b"".join(
        kind + struct.pack(">I", len(text)) + text for kind, text in ((b"R", b""), (b"O", b"hi"), (b"E", b"01"))
    )
    for size in (1, 2, 3, 7, 100):
        frames, found = Frames(), []
        for at in range(0, len(said), size):
            found += frames.feed(said[at : at + size])
        assert found == [("R", b""), ("O", b"hi"), ("E", b"01")]


@pytest.mark.parametrize("said", [b"X\0\0\0\0", b"O" + struct.pack(">I", MAX_FRAME_BYTES + 1), b"\0" * 5])
def test_what_is_no_frame_is_malformed(said: bytes) -> None:
    with pytest.raises(Malformed):
        list(Frames().feed(said))


def test_a_frame_is_held_to_its_ceiling_before_it_is_complete() -> None:
    assert list(Frames().feed(b"O" + struct.pack(">I", MAX_FRAME_BYTES) + b"x")) == []


def test_the_seed_is_fresh_bytes_and_the_time() -> None:
    assert render_seed(b"r" * 64, 258) == b"r" * 64 + b"\0\0\0\0\0\0\1\2"
    for wrong in (b"", b"r" * 63, b"r" * 65):
        with pytest.raises(ValueError, match="fixed length"):
            render_seed(wrong, 0)


def test_an_order_says_its_length_first() -> None:
    order = Order(
        ("echo", "é"), {"A": "b"}, "r", Ceilings(1, 2, 3, 4, 5, 6), b"filter", {"x": b"y"}, b"in", b"z", "", "/l"
    )
    message = render_order(order)
    assert struct.unpack(">I", message[:4]) == (len(message) - 4,)
    assert message[4:7] == b"r\x01\x00"
    assert message[7:55] == struct.pack(">6Q", 1, 2, 3, 4, 5, 6)
    assert b"\0\0\0\x02\xc3\xa9" in message
    assert b"\0\0\0\x03A=b" in message
