"""Vrt: the subset of GDAL's VRT format that describes plain mosaics, parsed from XML and written again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

Names = Mapping[str, str]
Numbers = tuple[tuple[str, str], ...]

_TYPES = frozenset(
    {"Byte", "UInt8", "Int8", "UInt16", "Int16", "UInt32", "Int32", "UInt64", "Int64", "Float16", "Float32", "Float64"}
    | {"CInt16", "CInt32", "CFloat32", "CFloat64"}
)
_RESAMPLINGS = frozenset(
    {"nearest", "near", "bilinear", "cubic", "cubicspline", "lanczos", "average", "mode", "rms", "gauss"}
)
_WORD, _INTEGER, _SOURCE_BAND = (
    re.compile(r"[A-Za-z][A-Za-z0-9_ ]{0,31}"),
    re.compile(r"[+-]?\d{1,20}"),
    r"(mask,)?\d+|mask",
)
_AXES_ATTRIBUTES = ("dataAxisToSRSAxisMapping", "coordinateEpoch")
_AXES = re.compile(r"-?\d(,-?\d){1,3}")
# Say nothing of the values of pixels or of where they lie.
_IGNORED = frozenset(
    {"Metadata", "Histograms", "OverviewList", "Overview", "CategoryNames", "ColorTable", "UnitType"}
    | {"GDALRasterAttributeTable"}
)
_COMPLEX = ("NODATA", "ScaleOffset", "ScaleRatio", "Exponent", "SrcMin", "SrcMax", "DstMin", "DstMax")
_MAX_BANDS = 16_384
_RECT = ("xOff", "yOff", "xSize", "ySize")
_PROPERTIES = ("RasterXSize", "RasterYSize", "DataType", "BlockXSize", "BlockYSize")
_POINT = ("Pixel", "Line", "X", "Y", "Z")


class VrtError(ValueError):
    """A VRT with features beyond a plain mosaic, or with invalid content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VrtSource:
    """Pixels of one band of another file.

    Attributes:
        kind: ``SimpleSource`` or ``ComplexSource``.
        name: name of the file as written in the VRT.
        relative: True if the name is relative to the VRT's own folder.
        band: number of the file's band, ``mask`` or ``mask,N``.
        resampling: GDAL's name of the resampling, or None.
        properties: size, type and block size of the file, as given in the VRT.
        source_window: columns and rows of the file, by name; empty: all of it.
        target_window: columns and rows of the VRT; empty: all of it.
        settings: value conversions of a ``ComplexSource``, by name.
    """

    kind: str
    name: str
    relative: bool
    band: str
    resampling: str | None
    properties: Numbers
    source_window: Numbers
    target_window: Numbers
    settings: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class VrtBand:
    """One band, or a mask.

    Attributes:
        attributes: number, type and block size, by name.
        facts: nodata, scale, offset, colour interpretation and description, by name.
        sources: sources; later ones cover earlier ones.
        masks: at most one.
    """

    attributes: Numbers
    facts: Numbers
    sources: tuple[VrtSource, ...]
    masks: tuple[VrtBand, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vrt:
    """A mosaic of bands of other files on one grid.

    Attributes:
        size: ``rasterXSize`` and ``rasterYSize``, by name.
        crs: text of the CRS and its axis order; None if there is none.
        transform: GDAL's six numbers; empty if there is none.
        points_crs: likewise of ground control points.
        points: pixel, line, x, y and z of each ground control point, by name.
        bands: in order.
        masks: at most one, of all bands.
    """

    size: Numbers
    crs: tuple[str, str] | None
    transform: tuple[str, ...]
    points_crs: tuple[str, str] | None
    points: tuple[Numbers, ...]
    bands: tuple[VrtBand, ...]
    masks: tuple[VrtBand, ...] = ()

    @property
    def sources(self) -> tuple[VrtSource, ...]:
        """All sources of all bands and masks."""
        bands = (*self.bands, *self.masks, *(mask for band in self.bands for mask in band.masks))
        return tuple(source for band in bands for source in band.sources)


def read_vrt(text: str, *, max_tags: int) -> Vrt:
    """Read a VRT.

    Args:
        text: XML.
        max_tags: refuse a document of more tags.

    Raises:
        VrtError: it is not XML, too long, not a plain mosaic, or a value in it is invalid.
    """
    root = _parsed(text, max_tags)
    if root.tag != "VRTDataset" or root.get("subClass") is not None:
        raise VrtError(f"VRTs of kind {root.get('subClass') or root.tag} are not read")
    _refuse_attributes(root, "rasterXSize", "rasterYSize")
    size = tuple((name, _count(_needed(root, name))) for name in ("rasterXSize", "rasterYSize"))
    children = _children(root, {"SRS", "GeoTransform", "GCPList", "VRTRasterBand", "MaskBand"})
    srs, points = children.get("SRS", ()), children.get("GCPList", ())
    if len(children.get("VRTRasterBand", ())) > _MAX_BANDS:
        raise VrtError(f"it has more than {_MAX_BANDS:,} bands")
    transform = [
        _number(part) for element in children.get("GeoTransform", ())[:1] for part in _text(element).split(",")
    ]
    if len(transform) not in (0, 6):
        raise VrtError(f"its GeoTransform has {len(transform)} numbers")
    return Vrt(
        size=size,
        crs=None if not srs else _crs(srs[0], _text(srs[0], *_AXES_ATTRIBUTES)),
        transform=tuple(transform),
        points_crs=None if not points else _crs(points[0], points[0].get("Projection", ""), "Projection"),
        points=tuple(_point(point) for element in points[:1] for point in element),
        bands=tuple(_band(element) for element in children.get("VRTRasterBand", ())),
        masks=_masks(children.get("MaskBand", ())),
    )


def write_vrt(vrt: Vrt, address: Callable[[VrtSource], str], crs_wkt: Callable[[str], str]) -> str:
    """Write a VRT as XML.

    Args:
        vrt: the mosaic.
        address: maps a source to the address of its file for GDAL.
        crs_wkt: maps the text of a CRS to its WKT.
    """
    size = _attributes(vrt.size)
    parts = [f"<VRTDataset{size}>"]
    if vrt.crs is not None:
        parts.append(f"<SRS{_axes_attribute(vrt.crs[1])}>{escape(crs_wkt(vrt.crs[0]))}</SRS>")
    if vrt.transform:
        parts.append(f"<GeoTransform>{','.join(vrt.transform)}</GeoTransform>")
    if vrt.points and vrt.points_crs is not None:
        projection = quoteattr(crs_wkt(vrt.points_crs[0])) if vrt.points_crs[0] else '""'
        parts.append(f"<GCPList Projection={projection}{_axes_attribute(vrt.points_crs[1])}>")
        parts += [f'<GCP Id="{place}"{_attributes(point)}/>' for place, point in enumerate(vrt.points, 1)]
        parts.append("</GCPList>")
    for band in vrt.bands:
        parts += _band_lines(band, address)
    parts += _mask_lines(vrt.masks, address)
    return "\n".join([*parts, "</VRTDataset>\n"])


def _parsed(text: str, max_tags: int) -> ET.Element:
    """Parse after counting tags, so that the cost is bounded."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise VrtError("it declares XML entities")
    if text.count("<") > max_tags:
        raise VrtError(f"it and what it leads to hold more than {max_tags:,} XML tags")
    try:
        return ET.fromstring(text)  # noqa: S314 - no entities, bounded
    except ET.ParseError as error:
        raise VrtError(f"it is not XML ({error})") from error


def _children(element: ET.Element, known: Iterable[str]) -> dict[str, tuple[ET.Element, ...]]:
    """Group the children of an element by name; unknown ones are refused, since they may run code or access files."""
    found: dict[str, list[ET.Element]] = {}
    allowed = frozenset(known)
    for child in element:
        if child.tag not in allowed and child.tag not in _IGNORED:
            raise VrtError(f"it holds {str(child.tag)[:80]}")
        found.setdefault(child.tag, []).append(child)
    return {name: tuple(children) for name, children in found.items()}


def _refuse_attributes(element: ET.Element, *known: str) -> None:
    odd = next((name for name in element.attrib if name not in known), None)
    if odd is not None:
        raise VrtError(f"{element.tag} has the attribute {odd[:80]}={element.attrib[odd][:80]!r}")


def _needed(element: ET.Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise VrtError(f"{element.tag} has no {name}")
    return value


def _text(element: ET.Element, *known: str) -> str:
    _refuse_attributes(element, *known)
    if len(element):
        raise VrtError(f"{element.tag} holds {element[0].tag}")
    return (element.text or "").strip()


def _number(text: str) -> str:
    """Parse a number and format it for GDAL; an integer keeps all its digits."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return str(int(text))
    try:
        return repr(float(text))
    except ValueError as error:
        raise VrtError(f"{text[:80]!r} is no number") from error


def _count(text: str) -> str:
    if not _INTEGER.fullmatch(text.strip()) or not 0 <= int(text) < 2**31:
        raise VrtError(f"{text[:80]!r} is no number of pixels")
    return str(int(text))


def _word(text: str, known: frozenset[str] | None = None) -> str:
    if text not in known if known is not None else not _WORD.fullmatch(text):
        raise VrtError(f"it says {text[:80]!r}")
    return text


def _yes(text: str) -> bool:
    if text.lower() not in {"0", "1", "true", "false", "yes", "no"}:
        raise VrtError(f"{text[:80]!r} is neither 0 nor 1")
    return text.lower() in {"1", "true", "yes"}


def _crs(element: ET.Element, text: str, *known: str) -> tuple[str, str]:
    _refuse_attributes(element, *_AXES_ATTRIBUTES, *known)
    axes = element.get("dataAxisToSRSAxisMapping", "")
    if axes and not _AXES.fullmatch(axes):
        raise VrtError(f"axes {axes[:80]!r} are none")
    return text, axes


def _point(element: ET.Element) -> Numbers:
    if element.tag != "GCP":
        raise VrtError(f"GCPList holds {str(element.tag)[:80]}")
    _refuse_attributes(element, "Id", "Info", *_POINT)
    return tuple((name, _number(element.attrib[name])) for name in _POINT if name in element.attrib)


def _masks(elements: tuple[ET.Element, ...]) -> tuple[VrtBand, ...]:
    for element in elements:
        _refuse_attributes(element)
    return tuple(
        _band(band) for element in elements for band in _children(element, {"VRTRasterBand"}).get("VRTRasterBand", ())
    )[:1]


def _band(element: ET.Element) -> VrtBand:
    if element.get("subClass", "VRTSourcedRasterBand") != "VRTSourcedRasterBand":
        raise VrtError(f"it holds {element.get('subClass', '')[:80]}")
    _refuse_attributes(element, "dataType", "band", "subClass", "blockXSize", "blockYSize")
    attributes = [("dataType", _word(element.get("dataType", "Byte"), _TYPES))]
    attributes += [
        (name, _count(element.attrib[name])) for name in ("band", "blockXSize", "blockYSize") if name in element.attrib
    ]
    facts: dict[str, Callable[[str], str]] = {
        "Description": str,
        "NoDataValue": _number,
        "HideNoDataValue": lambda text: str(int(_yes(text))),
        "ColorInterp": _word,
        "Offset": _number,
        "Scale": _number,
    }
    children = _children(element, {*facts, "SimpleSource", "ComplexSource", "MaskBand"})
    return VrtBand(
        attributes=tuple(attributes),
        facts=tuple((name, read(_text(children[name][0]))) for name, read in facts.items() if name in children),
        sources=tuple(_source(child) for child in element if child.tag in {"SimpleSource", "ComplexSource"}),
        masks=_masks(children.get("MaskBand", ())),
    )


def _source(element: ET.Element) -> VrtSource:
    _refuse_attributes(element, "resampling")
    simple = {"SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect"}
    complex_only = {*_COMPLEX, "UseMaskBand", "ColorTableComponent", "LUT", "Clamp"}
    children = _children(element, simple if element.tag == "SimpleSource" else simple | complex_only)
    if "SourceFilename" not in children:
        raise VrtError(f"a {element.tag} has no SourceFilename")
    file = children["SourceFilename"][0]
    band = _text(children["SourceBand"][0]) if "SourceBand" in children else "1"
    if not re.fullmatch(_SOURCE_BAND, band):
        raise VrtError(f"{band[:80]!r} is no band")
    resampling = element.get("resampling")
    return VrtSource(
        kind=element.tag,
        name=_text(file, "relativeToVRT", "shared"),
        relative=_yes(file.get("relativeToVRT", "0")),
        band=band,
        resampling=None if resampling is None else _word(resampling.lower(), _RESAMPLINGS),
        properties=_numbers(children.get("SourceProperties", ()), _PROPERTIES, _property),
        source_window=_numbers(children.get("SrcRect", ()), _RECT),
        target_window=_numbers(children.get("DstRect", ()), _RECT),
        settings=_settings(children),
    )


def _property(text: str) -> str:
    return text if text in _TYPES else _count(text)


def _numbers(elements: tuple[ET.Element, ...], names: tuple[str, ...], read: Callable[[str], str] = _number) -> Numbers:
    if not elements:
        return ()
    _refuse_attributes(elements[0], *names)
    return tuple((name, read(elements[0].attrib[name])) for name in names if name in elements[0].attrib)


def _settings(children: Mapping[str, tuple[ET.Element, ...]]) -> Numbers:
    settings = [(name, _number(_text(children[name][0]))) for name in _COMPLEX if name in children]
    settings += [
        (name, str(_yes(_text(children[name][0]))).lower()) for name in ("UseMaskBand", "Clamp") if name in children
    ]
    if "ColorTableComponent" in children:
        settings.append(("ColorTableComponent", _count(_text(children["ColorTableComponent"][0]))))
    if "LUT" in children:
        pairs = [pair.split(":") for pair in _text(children["LUT"][0]).split(",")]
        settings.append(("LUT", ",".join(":".join(_number(number) for number in pair) for pair in pairs)))
    return tuple(settings)


def _attributes(numbers: Numbers) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in numbers)


def _axes_attribute(axes: str) -> str:
    return f' dataAxisToSRSAxisMapping="{axes}"' if axes else ""


def _band_lines(band: VrtBand, address: Callable[[VrtSource], str]) -> list[str]:
    lines = [f"<VRTRasterBand{_attributes(band.attributes)}>"]
    lines += [f"<{name}>{escape(value)}</{name}>" for name, value in band.facts]
    lines += _mask_lines(band.masks, address)
    for source in band.sources:
        resampling = "" if source.resampling is None else f' resampling="{source.resampling}"'
        lines.append(
            f"<{source.kind}{resampling}>"
            f'<SourceFilename relativeToVRT="0">{escape(address(source))}</SourceFilename>'
            f"<SourceBand>{source.band}</SourceBand>"
        )
        for name, numbers in (
            ("SourceProperties", source.properties),
            ("SrcRect", source.source_window),
            ("DstRect", source.target_window),
        ):
            if numbers:
                lines.append(f"<{name}{_attributes(numbers)}/>")
        lines += [f"<{name}>{value}</{name}>" for name, value in source.settings]
        lines.append(f"</{source.kind}>")
    return [*lines, "</VRTRasterBand>"]


def _mask_lines(masks: Iterable[VrtBand], address: Callable[[VrtSource], str]) -> list[str]:
    return [line for mask in masks for line in ("<MaskBand>", *_band_lines(mask, address), "</MaskBand>")]
