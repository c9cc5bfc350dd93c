"""The loopback address, by which processes of one machine talk to each other."""

from __future__ import annotations

import socket

from geoseg.errors import ResourceError

_TIMEOUT_S = 5.0


def check_loopback(what: str, cure: str) -> None:
    """Listen on a free port of 127.0.0.1 and connect to it, as servers of this machine will.

    Args:
        what: what needs it, for the message.
        cure: what to do without it, a sentence.

    Raises:
        ResourceError: that is not possible: a container without a network, or no free port.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=_TIMEOUT_S).close()
    except OSError as error:
        cause = error.strerror or str(error)
        raise ResourceError(f"{what}: needs the loopback address 127.0.0.1 ({cause}). {cure}") from error
