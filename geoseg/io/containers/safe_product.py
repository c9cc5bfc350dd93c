"""Sentinel-2 products (SAFE): the images of one resolution, found by the product's own metadata.

GDAL's driver SENTINEL2 would open whatever the metadata names. Here the metadata is read as data, every image it names
must be a JPEG 2000 inside the product, and only the driver of JPEG 2000 opens it. Scale and offset of the reflectances
come from the metadata, which GDAL's driver leaves to its users.

Source:
    Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, sections 4.3 and 4.4 (baseline 2 and later).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

from geoseg.errors import SceneError
from geoseg.io.containers.subdatasets import Subdataset
from geoseg.io.files.drivers import driver_of, first_bytes, is_plain_file, local_name, sniff
from geoseg.io.files.input_file import read_input
from geoseg.io.files.safe_xml import parse_xml

_METADATA = re.compile(r"MTD_MSIL(?:1C|2A)\.xml")
_INSIDE = re.compile(r"(?:[^/]+/)?MTD_MSIL(?:1C|2A)\.xml")
_IMAGE = re.compile(r"_(?P<band>B\d\d|B8A|TCI)(?:_(?P<side>10|20|60)m)?$")
_NATIVE = {
    **dict.fromkeys(("B02", "B03", "B04", "B08", "TCI"), "10"),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), "20"),
    **dict.fromkeys(("B01", "B09", "B10"), "60"),
}
_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""In the order of the band numbers of the metadata, 0 to 12."""

_Place = Callable[[str], tuple[Path | None, str]]
"""Finds an image by its name in the metadata: its file, or what GDAL opens inside a zip."""

_MOST_BYTES = 32 * 2**20
_CURE = "Download the product again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductImage:
    """One image file of a product.

    Attributes:
        band: ``B02``, or ``TCI`` for the true-colour image.
        path: the file; None inside a zip.
        address: name that GDAL opens; empty for a file.
        scale: reflectance = stored value * scale + offset.
        offset: see scale.
    """

    band: str
    path: Path | None
    address: str = ""
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeProduct:
    """A Sentinel-2 product of one granule.

    Attributes:
        title: name of the product, without ``.SAFE``.
        file: its metadata, or the zip.
        images: for each subdataset (``10m``, ``20m``, ``60m``, ``TCI``) its images, in order of their bands.
    """

    title: str
    file: Path
    images: Mapping[str, tuple[ProductImage, ...]]

    def subdatasets(self) -> tuple[Subdataset, ...]:
        """List the images by resolution."""
        return tuple(
            Subdataset(number=number, name=name, description=", ".join(image.band for image in images))
            for number, (name, images) in enumerate(self.images.items(), start=1)
        )


def is_product_folder(path: Path) -> bool:
    """Return True if a folder is a Sentinel-2 product: its metadata lies in it."""
    with suppress(OSError):
        return path.is_dir() and _metadata_in(path) is not None
    return False


def find_product(uri: str) -> SafeProduct | None:
    """Read the product of a local name: its folder, its ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``, or its zip.

    Args:
        uri: path or ``file://`` address.

    Returns:
        The product; None if it is something else.

    Raises:
        SceneError: it is damaged, of several granules, or names an image outside of itself.
    """
    text = local_name(uri)
    if "\x00" in text:
        return None
    path = Path(text)
    try:
        if path.is_dir():
            metadata = _metadata_in(path)
            return None if metadata is None else _read_folder(uri, metadata)
        if not path.is_file():
            return None
    except OSError:
        return None
    if _METADATA.fullmatch(path.name):
        return _read_folder(uri, path)
    return _read_zip(uri, path) if first_bytes(uri, path).startswith(b"PK\x03\x04") else None


def _metadata_in(folder: Path) -> Path | None:
    found = [file for file in folder.iterdir() if _METADATA.fullmatch(file.name) and is_plain_file(file)]
    return found[0] if len(found) == 1 else None


def _read_folder(uri: str, metadata: Path) -> SafeProduct:
    root = metadata.absolute().parent
    try:
        document = read_input(metadata, _MOST_BYTES + 1)
    except OSError as error:
        raise SceneError(uri, f"{metadata.name} cannot be read ({error.strerror}).", "Check the disk.") from error

    def image(name: str) -> tuple[Path | None, str]:
        try:
            file = (root / name).resolve()
            inside = file.is_relative_to(root.resolve()) and file.is_file()
        except (OSError, RuntimeError, ValueError):  # links in a circle
            inside = False
        if not inside:
            raise SceneError(uri, f"its image {name[:200]} is no file of the product.", _CURE)
        if driver_of(str(file), file) != "JP2OpenJPEG":
            raise SceneError(uri, f"its image {name[:200]} is no JPEG 2000.", _CURE)
        return file, ""

    return SafeProduct(
        title=root.name.removesuffix(".SAFE"), file=metadata, images=_grouped(uri, _parsed(uri, document), image)
    )


def _read_zip(uri: str, path: Path) -> SafeProduct | None:
    place = str(path.absolute())
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            found = [name for name in entries if _INSIDE.fullmatch(name)]
            if len(found) != 1:
                return None
            if "{" in place or "}" in place:
                raise SceneError(uri, "its path holds a brace, which GDAL cannot open.", "Rename it.")
            document = _unpacked(archive, entries[found[0]], _MOST_BYTES + 1)
            root = PurePosixPath(found[0]).parent

            def image(name: str) -> tuple[Path | None, str]:
                entry = entries.get(str(root / name))
                if entry is None:
                    raise SceneError(uri, f"its image {name[:200]} is no file of the product.", _CURE)
                if sniff(_unpacked(archive, entry, 4096))[0] != "JP2OpenJPEG":
                    raise SceneError(uri, f"its image {name[:200]} is no JPEG 2000.", _CURE)
                return None, f"/vsizip/{{{place}}}/{entry.filename}"

            images = _grouped(uri, _parsed(uri, document), image)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        if path.suffix.lower() != ".zip":
            return None
        raise SceneError(uri, f"the zip archive cannot be read ({error}).", _CURE) from error
    return SafeProduct(title=(root.name or path.stem).removesuffix(".SAFE"), file=path, images=images)


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(entry) as file:
        return file.read(count)


def _parsed(uri: str, document: bytes) -> ET.Element:
    root = parse_xml(document) if len(document) <= _MOST_BYTES else None
    if root is None or not re.search(r"Level-(1C|2A)_User_Product$", root.tag):
        raise SceneError(uri, "its metadata is not that of a Sentinel-2 product.", _CURE)
    return root


def _grouped(uri: str, root: ET.Element, place: _Place) -> dict[str, tuple[ProductImage, ...]]:
    """Sort the images of a product into subdatasets."""
    scales = _scales(root)
    names = [" ".join((node.text or "").split()) for node in root.iter() if node.tag in {"IMAGE_FILE", "IMAGE_ID"}]
    if len({PurePosixPath(name).parts[:2] for name in names}) > 1:
        raise SceneError(uri, "it is a product of several granules.", "Give each granule, or a product since 2016.")
    images: dict[str, dict[str, ProductImage]] = {}
    for name in dict.fromkeys(names):
        found = _IMAGE.search(name)
        if found is None:
            continue
        band, side = found["band"], found["side"] or _NATIVE.get(found["band"], "")
        if not side or (band == "TCI" and side != "10"):
            continue
        if not re.fullmatch(r"[\w./-]+", name) or ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise SceneError(uri, f"its image {name[:200]!r} is no file of the product.", _CURE)
        path, address = place(f"{name}.jp2")
        scale, offset = (1.0, 0.0) if band == "TCI" else scales.get(band, (1.0, 0.0))
        group = "TCI" if band == "TCI" else f"{side}m"
        image = ProductImage(band=band, path=path, address=address, scale=scale, offset=offset)
        images.setdefault(group, {})[band] = image
    if not images:
        raise SceneError(uri, "its metadata names no image.", _CURE)
    order = [name for name in ("10m", "20m", "60m", "TCI") if name in images]
    return {name: tuple(images[name][band] for band in (*_BANDS, "TCI") if band in images[name]) for name in order}


def _scales(root: ET.Element) -> dict[str, tuple[float, float]]:
    """Return scale and offset of each band's reflectance, where the metadata tells them."""
    quantification, offsets = 0.0, dict.fromkeys(_BANDS, 0.0)
    with suppress(ValueError):
        for node in root.iter():
            if node.tag in {"QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE"}:
                quantification = float(node.text or "")
            elif node.tag in {"RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"}:
                number = node.get("band_id", "")
                if number.isdecimal() and int(number) < len(_BANDS):
                    offsets[_BANDS[int(number)]] = float(node.text or "")
    if not 0 < quantification < float("inf"):
        return {}
    return {band: (1 / quantification, offset / quantification) for band, offset in offsets.items()}
