"""The server that Prefect starts for a plain call: it ends with the call, however that ends."""

from __future__ import annotations

import os
import subprocess
from uuid import uuid4

from prefect.settings import PREFECT_API_URL

from geoseg.run.loopback import check_loopback

_MARK = "GEOSEG_SERVER_OF"
_STOP_MARKED = """
while read -r _; do :; done
for environ in /proc/[0-9]*/environ; do
  if grep -qs "$0" "$environ"; then pid=${environ#/proc/}; kill "${pid%/environ}"; fi
done
"""
_guards: list[subprocess.Popen[bytes]] = []
"""Kept, since their pipes must stay open as long as the process lives."""


def start_own_server() -> None:
    """Start Prefect's own server where no API is set; Prefect stops it when the process ends in order.

    Where the process is killed nobody would, so a shell waits for the end of a pipe that only this process holds, and
    stops the server then. The shell is there before the server, and knows it by a mark in its environment: at no
    moment does a kill leave a server behind.

    Raises:
        ResourceError: this machine has no loopback address.
        RuntimeError: it did not start in time.
    """
    if PREFECT_API_URL.value() is not None:
        return
    check_loopback(
        "Prefect's own server", "Set PREFECT_API_URL to a server, or run geoseg predict or geoseg archive run."
    )
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415 - seconds, only for plain calls

    mark = f"{_MARK}={uuid4().hex}"
    command = ["/bin/sh", "-c", _STOP_MARKED, mark]
    _guards.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True))  # noqa: S603 - fixed words
    os.environ[_MARK] = mark.removeprefix(f"{_MARK}=")
    try:
        SubprocessASGIServer().start()  # the one that Prefect's client takes as well
    finally:
        del os.environ[_MARK]
