"""A job is cut down to every ceiling, or refused before anything starts."""

from __future__ import annotations

import dataclasses

import pytest

from carapax.adapters.sandbox.bounds import Bounds, decide_job
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.sandbox import Job
from tests.attacks.sealing import MANIFEST

BOUNDS = Bounds(timeout_ms=500, output_bytes=600, memory_bytes=700, processes=8)


def test_each_ceiling_is_the_least_of_the_three() -> None:
    asked = Job(("x",), timeout_ms=1000, output_bytes=1000, memory_bytes=1000, processes=1000)
    manifest = dataclasses.replace(MANIFEST, timeout_ms=400, output_bytes=10_000)
    found = decide_job(asked, BOUNDS, manifest)
    assert (found.timeout_ms, found.output_bytes, found.memory_bytes, found.processes) == (400, 600, 700, 8)
    less = Job(("x",), timeout_ms=1, output_bytes=2, memory_bytes=3, processes=4)
    assert decide_job(less, BOUNDS, manifest) == less
    assert decide_job(asked, BOUNDS, None).timeout_ms == 500


@pytest.mark.parametrize("argv", [(), ("",), ("a", "b\0c"), ("\0",), ("a", "\ud800")])
def test_words_that_name_no_program_are_malformed(argv: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        decide_job(Job(argv), BOUNDS, None)


@pytest.mark.parametrize("field", ["timeout_ms", "output_bytes", "memory_bytes", "processes"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_ceiling_of_nothing_is_malformed(field: str, value: int) -> None:
    with pytest.raises(Malformed):
        decide_job(dataclasses.replace(Job(("x",)), **{field: value}), BOUNDS, None)


@pytest.mark.parametrize(
    "job",
    [
        Job(("x", "y" * 131_072)),
        Job(("x", *["y" * 131_000] * 9)),
        Job(("x",), stdin=bytes((16 << 20) + 1)),
        Job(("é" * 70_000,)),
    ],
    ids=["word", "words", "input", "bytes"],
)
def test_what_the_kernel_would_not_take_is_too_large(job: Job) -> None:
    with pytest.raises(TooLarge):
        decide_job(job, BOUNDS, None)
    assert decide_job(Job(("x", "y" * 131_071)), BOUNDS, None).argv[1]


@pytest.mark.parametrize(
    "pair",
    [
        ("A", "x\0--bind\0/\0/host"),
        ("A\0--bind", "x"),
        ("", "x"),
        ("A=B", "x"),
        ("1A", "x"),
        ("A B", "x"),
        ("A" * 101, "x"),
        ("A", "\ud800"),
        ("LD_PRELOAD", "/workspace/evil.so"),
        ("LD_LIBRARY_PATH", "/workspace"),
        ("GLIBC_TUNABLES", "x"),
    ],
)
def test_a_variable_that_could_be_more_than_one_is_malformed(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        decide_job(Job(("x",), variables=(("GOOD", "1"), pair)), BOUNDS, None)


@pytest.mark.parametrize("variables", [(("A", "x" * 131_072),), tuple((f"A{n}", "") for n in range(101))])
def test_more_variables_than_can_be_are_refused(variables: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(TooLarge):
        decide_job(Job(("x",), variables=variables), BOUNDS, None)
