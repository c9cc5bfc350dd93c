"""Checks of documents: JSON, XML, STAC items and QGIS projects, with the files that they refer to."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET


def check_json(path: Path) -> object:
    """Parse a JSON file and return its content.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or not in UTF-8.
    """
    return json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))


def check_xml(path: Path) -> None:
    """Parse an XML file.

    Raises:
        OSError: it is none.
    """
    _parsed(path.read_bytes())


def check_item(path: Path) -> None:
    """Check a STAC item: its fields, and that its assets in the same folder exist.

    Raises:
        OSError: a field or a file is missing.
        ValueError: it is no JSON.

    Source:
        STAC 1.1.0.
    """
    item = check_json(path)
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise OSError("it is no STAC item")
    missing = [name for name in ("stac_version", "id", "geometry", "properties", "links", "assets") if name not in item]
    if missing:
        raise OSError(f"the item has no {', '.join(missing)}")
    for key, asset in item["assets"].items():
        file = _neighbour(path.parent, str(asset["href"]))
        if file is not None and not file.is_file():
            raise OSError(f"the file of asset {key!r} is missing ({file.name})")


def check_project(path: Path) -> None:
    """Check a QGIS project: the archive's checksums, the document, and the layers in the same folder.

    Raises:
        OSError: it is none, or a file that it shows is missing.
        zipfile.BadZipFile: the archive is broken.
    """
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
        if broken is not None:
            raise OSError(f"{broken} in it is damaged")
        names = [name for name in archive.namelist() if name.endswith(".qgs")]
        if len(names) != 1:
            raise OSError(f"it holds {len(names)} project documents, not one")
        root = _parsed(archive.read(names[0]))
    if root.tag != "qgis":
        raise OSError(f"its document is {root.tag!r}, not a QGIS project")
    for node in root.iter("datasource"):
        file = _neighbour(path.parent, (node.text or "").partition("|")[0], escaped=False)
        if file is not None and not file.exists():
            raise OSError(f"it shows {file.name}, which is missing")


def _neighbour(folder: Path, name: str, *, escaped: bool = True) -> Path | None:
    """Resolve a relative name to a file in the folder or below it; None for an address or a file elsewhere."""
    if not name.startswith("./") and (not escaped or ":" in name.partition("/")[0] or name.startswith("/")):
        return None
    relative = Path(unquote(name) if escaped else name)
    return None if relative.is_absolute() or ".." in relative.parts else folder / relative


def _parsed(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - expat refuses entities that grow
    except ET.ParseError as error:
        raise OSError(f"it is no XML: {error}") from error
