"""Attack: reach a service of the host whose socket file lies in the workspace, or leave a socket there for the host."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from carapax.ports.sandbox import Mount
from tests.attacks.sealing import Inside

STREAM = "tried(lambda: socket.socket(socket.AF_UNIX).connect({0!r}))"
DATAGRAM = "tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'evil', {0!r}))"
PAIR = "tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect({0!r}))"
RAW_PAIR = "tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b'evil', {0!r}))"


@pytest.fixture(params=["s", "deep/er/s"])
def service(request: pytest.FixtureRequest, inside: Inside, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stream and a datagram socket of the host in the workspace; its name inside."""
    name: str = request.param
    place = inside.workspace / name
    place.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(place.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as stream, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        stream.bind(place.name)
        stream.listen()
        datagram.bind(f"{place.name}-d")
        datagram.setblocking(False)
        Path(place.name).chmod(0o777)
        Path(f"{place.name}-d").chmod(0o777)
        yield f"/workspace/{name}"
        stream.setblocking(False)
        with pytest.raises(BlockingIOError):
            stream.accept()
        with pytest.raises(BlockingIOError):
            datagram.recv(16)


@pytest.mark.parametrize("mount", [Mount.READ, Mount.WRITE])
def test_a_services_socket_in_the_workspace(inside: Inside, service: str, mount: Mount) -> None:
    attacks = [STREAM.format(service), *(attack.format(f"{service}-d") for attack in (DATAGRAM, PAIR, RAW_PAIR))]
    assert inside.met("\n".join(attacks), mount=mount) == ["EACCES"] * 4


def test_pairs_that_programs_need_still_work_beside_it(inside: Inside, service: str) -> None:
    assert inside.met("a, b = socket.socketpair(); tried(lambda: a.send(b'x'))") == ["open"]


def test_without_one_sockets_with_names_work_in_a_temporary_folder(inside: Inside) -> None:
    code = """
    server = socket.socket(socket.AF_UNIX)
    tried(lambda: server.bind("/tmp/s"))
    server.listen()
    tried(lambda: socket.socket(socket.AF_UNIX).connect("/tmp/s"))
    tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    """
    assert inside.met(code) == ["open"] * 3


def test_no_socket_is_left_in_the_workspace(inside: Inside) -> None:
    code = "tried(lambda: socket.socket(socket.AF_UNIX).bind('/workspace/left'))"
    more = "tried(lambda: os.mknod('/workspace/left', 0o140600))"
    moved = (
        "socket.socket(socket.AF_UNIX).bind('/tmp/s'); tried(lambda: os.rename('/tmp/s', '/workspace/left'));"
        "tried(lambda: os.link('/tmp/s', '/workspace/left'))"
    )
    assert inside.met(f"{code}\n{more}\n{moved}", mount=Mount.WRITE) == ["EACCES", "EACCES", "EXDEV", "EXDEV"]
    assert list(inside.workspace.iterdir()) == []


def test_a_workspace_too_large_to_look_through_gets_no_sockets_with_names(inside: Inside) -> None:
    folder = inside.workspace / "many"
    folder.mkdir()
    names = "\0".join(str(n) for n in range(20_001))
    subprocess.run(["xargs", "-0", "touch"], input=names.encode(), cwd=folder, check=True)
    assert inside.met("tried(lambda: socket.socket(socket.AF_UNIX))\ntried(lambda: socket.socketpair())") == [
        "EACCES",
        "open",
    ]


def test_so_does_one_that_is_too_deep(inside: Inside) -> None:
    (inside.workspace / ("d/" * 70)).mkdir(parents=True)
    assert inside.met("tried(lambda: socket.socket(socket.AF_UNIX))") == ["EACCES"]
