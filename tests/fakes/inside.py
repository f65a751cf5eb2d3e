"""A program in a network namespace of its own, whose only way out is a listener that a test holds the other side of.

`python inside.py LINK PROGRAM…`: brings loopback up, listens on 127.0.0.1:3128, hands the listener over LINK, waits for
a byte, and becomes the program. There is no route: what does not use the proxy reaches nothing.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import sys

PORT = 3128
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


def main() -> None:
    link = socket.socket(fileno=int(sys.argv[1]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        flags = struct.unpack("16sh", fcntl.ioctl(plain, _GET_FLAGS, struct.pack("16sh", b"lo", 0)))[1]
        fcntl.ioctl(plain, _SET_FLAGS, struct.pack("16sh", b"lo", flags | _UP))
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        handed = array.array("i", [listener.fileno()])
        link.sendmsg([b"l"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        if link.recv(1) != b"g":
            sys.exit(97)
    link.close()
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
