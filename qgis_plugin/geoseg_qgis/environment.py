"""The environment that geoseg runs in: found on this machine, or made as a venv. Imports nothing of QGIS."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WINDOWS = os.name == "nt"
PYTHONS = ("3.13", "3.12", "3.11")
"""Versions of Python that geoseg runs on, the preferred one first."""
_PROGRAM = "geoseg.exe" if WINDOWS else "geoseg"
_BIN = "Scripts" if WINDOWS else "bin"
_CONDA_ROOTS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba", ".conda")
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class EnvironmentMissing(Exception):  # noqa: N818 - reads as what it says
    """No geoseg program or no suitable Python on this machine; the message says what to do."""


def find_executable(setting: str, own: Path) -> Path:
    """Return the geoseg program.

    Args:
        setting: path that the user has set, of the program or of its environment; empty for none.
        own: folder of the environment that the plugin makes.

    Raises:
        EnvironmentMissing: the path of the setting is wrong, or no program is found.
    """
    if setting.strip():
        return _from_setting(Path(setting.strip()).expanduser())
    for candidate in _candidates(own):
        if candidate.is_file():
            return candidate
    raise EnvironmentMissing(
        "geoseg is not found on this machine. Run 'Make environment' of the geoseg group in the Processing toolbox, "
        "or set the program's path under Settings > Options > Processing > Providers > geoseg."
    )


def bundled_wheel() -> Path | None:
    """Return the wheel of geoseg inside the plugin; None in a plugin without."""
    return max(Path(__file__).parent.glob("wheels/geoseg-*.whl"), default=None)


def clean_variables() -> dict[str, str]:
    """Return the environment variables without those by which QGIS points Python and GDAL to its own files."""
    dropped = re.compile(r"PYTHON(?!UTF8$|IOENCODING$)|GDAL_D|GDAL_DRIVER_PATH|PROJ_|VIRTUAL_ENV|QT_|QML")
    variables = {name: value for name, value in os.environ.items() if not dropped.match(name)}
    return {**variables, "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"}


def find_python() -> Path:
    """Return a Python that geoseg runs on and that is not that of QGIS, if there is another.

    Raises:
        EnvironmentMissing: there is none.
    """
    names = [f"python{version}" for version in PYTHONS] + ["python3", "python"]
    found = [Path(path) for path in map(shutil.which, names) if path]
    if WINDOWS:
        found += _from_launcher()
        found += [Path(sys.base_prefix, "python3.exe"), Path(sys.base_prefix, "python.exe")]
    for python in found:
        if python.is_file() and _version(python) in PYTHONS:
            return python
    raise EnvironmentMissing(
        f"No Python {PYTHONS[-1]} to {PYTHONS[0]} is found. Install one (python.org, or your system's packages; on "
        "Debian also python3-venv) and run this again."
    )


def environment_commands(python: Path, folder: Path, package: str) -> list[list[str]]:
    """Return the commands that make an environment with geoseg in it, in order.

    Args:
        python: interpreter to base it on.
        folder: the environment; what is there is replaced.
        package: what pip installs: a wheel, a folder, an address or a requirement.
    """
    inside = str(folder / _BIN / ("python.exe" if WINDOWS else "python"))
    extras = f"{package}[openvino]" if package.endswith(".whl") or Path(package).is_dir() else package
    return [
        [str(python), "-m", "venv", "--clear", str(folder)],
        [inside, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", extras],
        [str(program_of(folder)), "--version"],
    ]


def program_of(folder: Path) -> Path:
    """Return the geoseg program of an environment."""
    return folder / _BIN / _PROGRAM


def _from_setting(path: Path) -> Path:
    program = path if path.is_file() else program_of(path)
    if not program.is_file():
        raise EnvironmentMissing(
            f"{path}: there is no geoseg program. Correct the path under Settings > Options > Processing > Providers "
            "> geoseg, or empty it so that geoseg is found by itself."
        )
    return program


def _candidates(own: Path) -> list[Path]:
    """List places where the program may be: own environment, search path, pip's user folder, pipx, uv, conda."""
    home = Path.home()
    found = shutil.which("geoseg")
    conda = [home / root for root in _CONDA_ROOTS]
    if os.environ.get("CONDA_PREFIX"):
        conda.insert(0, Path(os.environ["CONDA_PREFIX"]))
    return [
        program_of(own),
        *([Path(found)] if found else []),
        home / ".local" / "bin" / _PROGRAM,
        program_of(home / ".local/share/pipx/venvs/geoseg"),
        program_of(home / ".local/share/uv/tools/geoseg"),
        *(program_of(root / "envs" / "geoseg") for root in conda),
        program_of(home / "geoseg" / ".venv"),
    ]


def _from_launcher() -> list[Path]:
    """List the Pythons that the launcher of Windows knows."""
    launcher = shutil.which("py")
    if launcher is None:
        return []
    said = [_output([launcher, f"-{version}", "-c", "import sys; print(sys.executable)"]) for version in PYTHONS]
    return [Path(path) for path in said if path]


def _version(python: Path) -> str:
    return _output([str(python), "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"])


def _output(command: list[str]) -> str:
    try:
        ran = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
            env=clean_variables(),
            creationflags=_NO_WINDOW,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""
