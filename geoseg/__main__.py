"""The command: ``geoseg`` and ``python -m geoseg``."""

from __future__ import annotations

import signal
import sys

_IS_COMMAND = __name__ == "__main__" or sys.argv[0].rpartition("/")[2] == "geoseg"
if _IS_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # until the signals are watched, Ctrl-C ends the process as SIGTERM does: Python would print a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from geoseg.process.signals import Interrupted, leave, print_interrupted, watch_signals  # noqa: E402 - importing takes a while
from geoseg.process.streams import open_streams, use_utf8  # noqa: E402 - same


def main() -> None:
    """Run the command line and exit with the documented exit code."""
    try:
        watch_signals()
        use_utf8()
        open_streams()
        # a signal may arrive while these are being imported
        if sys.argv[1:2] == ["flow"]:
            from geoseg.flows.entry import main as run  # noqa: PLC0415
        else:
            from geoseg.cli.main import main as run  # noqa: PLC0415

        run()
    except Interrupted as stop:
        print_interrupted(stop)
        leave(stop.code)


if __name__ == "__main__":
    main()
