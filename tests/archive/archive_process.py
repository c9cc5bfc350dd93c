"""Run an archive in a process of its own and die by SIGKILL at record N. usage: archive_process.py CONFIG.yaml [N]"""

from __future__ import annotations

import os
import signal
import sys

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive

if __name__ == "__main__":
    left = int(sys.argv[2]) if len(sys.argv) > 2 else -1

    def count(record: SceneRecord) -> None:
        global left  # noqa: PLW0603
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.exit(run_archive(ArchiveConfig.read(sys.argv[1]), on_record=count).exit_code)
