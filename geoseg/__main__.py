"""The command: ``geoseg`` and ``python -m geoseg``."""

from __future__ import annotations

import sys

from geoseg.process.signals import Interrupted, leave, print_interrupted, watch_signals
from geoseg.process.streams import open_streams, use_utf8


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
