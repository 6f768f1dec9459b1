"""Which connections belong to a process, as Linux tells it."""

import re
from contextlib import suppress
from pathlib import Path

_SOCKET = re.compile(r"socket:\[(\d+)\]")


def client_ports(process: int, server_port: int) -> set[int]:
    """The local ports of a process's TCP connections to a port of this machine.

    Args:
        process: The process's number; one that has ended has no connections.
        server_port: What it is connected to.
    """
    own: set[str] = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if found := _SOCKET.fullmatch(str(entry.readlink())):
                    own.add(found[1])
    ports = set()
    with suppress(OSError):
        for line in Path(f"/proc/{process}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            _, local, remote, *rest = line.split()
            if rest[6] in own and int(remote.split(":")[1], 16) == server_port:
                ports.add(int(local.split(":")[1], 16))
    return ports
