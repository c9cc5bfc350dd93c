"""Nothing that only POSIX has is needed to import geoseg."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POSIX_ONLY = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
FAKE = f"""
import os, select, signal, sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in {POSIX_ONLY!r}:
            raise ImportError(f"{{name}} is of POSIX only")

for name in {POSIX_ONLY!r}:
    if name != "posix":  # os itself was made of it
        sys.modules.pop(name, None)
sys.meta_path.insert(0, Gone())
for name in ("SIGURG", "SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGCHLD", "pthread_kill", "pthread_sigmask"):
    delattr(signal, name)
for name in ("sched_getaffinity", "posix_fadvise", "pwrite", "pread", "fork", "O_DIRECTORY", "statvfs", "getuid"):
    delattr(os, name)
del select.poll
"""


def imported_at_load(tree: ast.Module) -> set[str]:
    """Modules imported by statements that run as the file is loaded, but for those inside ``try``."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_no_file_imports_a_module_of_posix_as_it_is_loaded() -> None:
    files = [path for folder in ("geoseg", "flows", "qgis_plugin") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path): imported_at_load(ast.parse(path.read_text())) & set(POSIX_ONLY) for path in files}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_modules_of_a_run_load_on_a_system_without_posix() -> None:
    """Libraries are loaded before the fake: theirs is their own business."""
    script = (
        "import numpy, rasterio, torch, dask, distributed, psutil, typer, rich.progress, xarray, geopandas\n"
        + FAKE
        + "import geoseg.__main__, geoseg.cli.main, geoseg.run.predict, geoseg.archive.run\n"
        "import geoseg.score.evaluate_files\n"
        "from geoseg.process.signals import handle_signals, watch_signals\nwatch_signals()\nprint('loaded')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout == "loaded\n", ran.stderr
