"""Bounds: the ceilings that hold for every job, whatever the job or its tool asks for.

Layer: adapters/sandbox. Owns the numbers and the way a job's own wishes are cut down to them.
Law: a bounded job never exceeds the job, the tool's manifest or these ceilings.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from carapax.core.terms.action import ToolManifest
from carapax.core.terms.error import Malformed, TooLarge
from carapax.ports.sandbox import Job

MAX_ARGUMENT_BYTES = 131_071  # the kernel's MAX_ARG_STRLEN, less the closing NUL
MAX_ARGUMENTS_BYTES = 1 << 20
MAX_STDIN_BYTES = 16 << 20
MAX_VARIABLES = 100
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_LOADER = ("LD_", "GLIBC_TUNABLES", "GCONV_PATH")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Ceilings of one sandbox."""

    timeout_ms: int = 600_000
    output_bytes: int = 4 << 20
    memory_bytes: int = 4 << 30  # of one job, its /tmp and /dev/shm included
    processes: int = 512
    tmp_bytes: int = 256 << 20
    shm_bytes: int = 64 << 20
    file_bytes: int = 1 << 30  # of any one file a job writes
    open_files: int = 1024
    jobs: int = 16  # at once; further ones wait
    run_workspace: bool = True  # programs and scripts lying in the workspace may be run (`./script.sh`, `./a.out`)
    connect_inside: bool = False  # a job may connect to ports that it opened itself, in its own empty network


def decide_job(job: Job, bounds: Bounds, manifest: ToolManifest | None) -> Job:
    """The job cut down to every ceiling. Raises Malformed or TooLarge when it cannot be started at all."""
    if not job.argv or not job.argv[0] or any("\0" in word for word in job.argv):
        raise Malformed("a command must name a program, and no word of it may hold a NUL")
    if min(job.timeout_ms, job.output_bytes, job.memory_bytes, job.processes) <= 0:
        raise Malformed("a command's ceilings must be above zero")
    try:
        sizes = [len(word.encode("utf-8", "surrogateescape")) for word in job.argv]
    except UnicodeEncodeError as error:
        raise Malformed("a command holds text that is not Unicode") from error
    if max(sizes) > MAX_ARGUMENT_BYTES or sum(sizes) > MAX_ARGUMENTS_BYTES or len(job.stdin) > MAX_STDIN_BYTES:
        raise TooLarge("the command or its input is longer than the sandbox takes")
    _verify_variables(job.variables)
    timeout_ms, output_bytes = bounds.timeout_ms, bounds.output_bytes
    if manifest is not None:
        timeout_ms, output_bytes = min(timeout_ms, manifest.timeout_ms), min(output_bytes, manifest.output_bytes)
    return dataclasses.replace(
        job,
        timeout_ms=min(job.timeout_ms, timeout_ms),
        output_bytes=min(job.output_bytes, output_bytes),
        memory_bytes=min(job.memory_bytes, bounds.memory_bytes),
        processes=min(job.processes, bounds.processes),
    )


def _verify_variables(variables: tuple[tuple[str, str], ...]) -> None:
    """Raise for a variable that is not one, or that would lead the launcher itself astray."""
    for name, value in variables:
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise Malformed("a variable's name must be letters, digits and underscores, and its value hold no NUL")
        if name.startswith(_LOADER):
            raise Malformed(f"the variable {name} decides what every program loads, and so cannot be set")
    try:
        size = sum(len(f"{name}={value}".encode("utf-8", "surrogateescape")) for name, value in variables)
    except UnicodeEncodeError as error:
        raise Malformed("a variable holds text that is not Unicode") from error
    if len(variables) > MAX_VARIABLES or size > MAX_ARGUMENT_BYTES:
        raise TooLarge("the variables are more than the sandbox takes")
