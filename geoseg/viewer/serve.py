"""Serve the map on the loopback address, in the foreground of a command or beside a notebook."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import uvicorn

from geoseg.errors import ResourceError, UsageError
from geoseg.viewer.app import make_app
from geoseg.viewer.opened import MapView
from geoseg.viewer.security import HOST, Access

_START_S: Final = 20.0
_STOP_S: Final = 3.0
_CONNECTIONS: Final = 512


@dataclass(slots=True, kw_only=True)
class MapServer:
    """A running server.

    Attributes:
        access: its port and secret.
        server: uvicorn's.
        thread: in which it runs.
    """

    access: Access
    server: uvicorn.Server
    thread: threading.Thread

    @property
    def address(self) -> str:
        """Address that opens the map, with the token."""
        return self.access.address

    def wait(self) -> None:
        """Wait until the server ends; signals interrupt this."""
        while self.thread.is_alive():
            self.thread.join(0.2)

    def stop(self) -> None:
        """End the server; requests that run are given a moment."""
        self.server.should_exit = True
        self.thread.join(_STOP_S)


def start_server(view: MapView, *, port: int = 0, embedded: bool = False) -> MapServer:
    """Start a server in a thread of its own.

    Args:
        view: what it shows.
        port: port on 127.0.0.1; 0: any free one.
        embedded: allow notebooks of this machine to show it in a frame.

    Raises:
        UsageError: the port is taken or may not be used.
        ResourceError: there is no loopback address.
    """
    listening = _listen(port)
    access = Access(port=listening.getsockname()[1], embedded=embedded)
    config = uvicorn.Config(
        make_app(view, access),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16 * 2**10,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="geoseg-view", daemon=True)
    thread.start()
    until = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise ResourceError("the server of the map did not start. Run again.")
        time.sleep(0.01)
    return MapServer(access=access, server=server, thread=thread)


def open_browser(address: str) -> bool:
    """Open the user's graphical browser; False where there is none."""
    graphical = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if sys.platform.startswith("linux") and not graphical:
        return False  # a text browser would take the terminal
    with suppress(webbrowser.Error):
        return webbrowser.open(address)
    return False


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise UsageError(f"--port {port}: {error.strerror}. Choose another one, or leave it out.") from error
        raise ResourceError(f"geoseg view needs the loopback address {HOST} ({error.strerror}).") from error
    return listening
