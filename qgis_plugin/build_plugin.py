"""Build the plugin's zip: the sources, the licence and, if one is given, the wheel that the plugin installs.

usage: python qgis_plugin/build_plugin.py OUT.zip [geoseg.whl]
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "geoseg_qgis"
LICENCE = HERE.parent / "LICENSE"
_DATE = (1980, 1, 1, 0, 0, 0)


def build(target: Path, wheel: Path | None = None) -> None:
    """Write the zip.

    Args:
        target: the zip.
        wheel: wheel of geoseg to carry; without it the user names what pip installs.
    """
    files = {f"geoseg_qgis/{path.relative_to(PACKAGE).as_posix()}": path for path in sorted(_sources())}
    files["geoseg_qgis/LICENSE"] = LICENCE
    if wheel is not None:
        files[f"geoseg_qgis/wheels/{wheel.name}"] = wheel
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), path.read_bytes(), zipfile.ZIP_DEFLATED)


def _sources() -> list[Path]:
    return [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".txt", ".svg"} and path.is_file()]


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
