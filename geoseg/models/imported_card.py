"""Card of an imported model: what the caller says, what the checkpoint or its publisher says, what is assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import bit_colour
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.errors import UsageError
from geoseg.io.raster.bands import named as common_name
from geoseg.io.weights.checkpoint_file import Checkpoint
from geoseg.models.named_weights import NamedWeights
from geoseg.nn.checkpoints import Fitted
from geoseg.nn.zoo.registry import network_entry

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE = (tuple(m / 255 for m in (122.67891434, 116.66876762, 104.00698793)), (1 / 255,) * 3)
_CENTRED = (_CAFFE[0], (1.0,) * 3)
_MATTERPORT = (tuple(m / 255 for m in (123.7, 116.8, 103.9)), _CAFFE[1])
_USUAL_BANDS = {1: ("pan",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "nir")}
_SCALINGS = {
    "imagenet": "ImageNet's mean and deviation, red, green, blue",
    "caffe": "ImageNet's mean",
    "unit": "divided by 255",
    "centred": "ImageNet's mean, then divided by 255",
    "matterport": "less 123.7, 116.8, 103.9, red, green, blue",
}
_UNKNOWN = "unknown; ask the source of the weights"
_NUMBERED_BAND: Final = re.compile(r"B\d{1,2}A?$")
_DIGITAL_NUMBERS: Final = 10_000
"""Digital number of a reflectance of 1, of Sentinel-2 and of Landsat's collection as torchgeo stores it."""
_ANY_GSD: Final = GsdRange(min=0.01, max=1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Fields for the card of an imported model; None: taken from the checkpoint or a default.

    Attributes:
        name: name of the model.
        options: options of the network, which override those of the layout.
        legend: its classes.
        bands: names in the network's order, after conversion from BGR.
        mean: mean of each band, on the 0 to 1 scale.
        std: standard deviation of each band, on the same scale.
        radiometry: meaning of that scale.
        gsd_m: smallest and largest pixel size, metres.
        tile_px: side of a tile.
        halo_px: context on each side.
        licence: licence of the weights.
        bgr: True if the checkpoint's bands are blue, green, red although those of its layout are not.
    """

    name: str | None = None
    options: UntypedMapping = field(default_factory=dict)
    legend: Legend | None = None
    bands: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    radiometry: Literal["display", "reflectance"] | None = None
    gsd_m: tuple[float, float] | None = None
    tile_px: int | None = None
    halo_px: int | None = None
    licence: str | None = None
    bgr: bool = False


def imported_card(
    name: str,
    network: str,
    fitted: Fitted,
    checkpoint: Checkpoint,
    asked: tuple[ImportRequest, NamedWeights | None],
) -> ModelCard:
    """Make the card of an imported model.

    Args:
        name: name of the model.
        network: name in the registry.
        fitted: the network with its weights.
        checkpoint: the file of the weights.
        asked: fields that the caller sets, and the published weights, if they are such.

    Raises:
        UsageError: the fields do not fit the network.
    """
    request, named = asked
    meta: UntypedMapping = {} if named is None else named.meta
    classes = meta.get("categories") or meta.get("classes")
    metadata = {**checkpoint.metadata, **({"meta": {"classes": classes}} if classes else {})}
    tile_px, halo_px = _tile(fitted, request, named)
    imported = {
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "layout": fitted.layout.source,
        **({"weights": named.name, "url": named.url} if named is not None else {}),
        **({"bgr": True} if fitted.bgr else {}),
        **({"configuration": "mmsegmentation"} if fitted.config is not None else {}),
        **({"sigmoid": True} if fitted.sigmoid else {}),
    }
    try:
        return ModelCard(
            name=name,
            title=f"{network}, imported from {checkpoint.path.name}",
            task=network_entry(network).task,
            description=f"Weights of {fitted.layout.source}'s layout, as they came: nothing here was trained again.",
            architecture=Architecture(name=network, options=_plain(fitted.options)),
            bands=_bands(fitted, request, named),
            radiometry=_radiometry(request, named),
            gsd_m=_gsd(request, named),
            tile_px=tile_px,
            halo_px=halo_px,
            legend=_legend(fitted, request, metadata, interactive=network_entry(network).task == "interactive"),
            licence=request.licence or str(meta.get("license") or _UNKNOWN),
            warnings=_assumptions(fitted, request),
            recipe={"imported": imported},
        )
    except ValueError as error:  # pydantic's own
        if isinstance(error, UsageError):
            raise
        cause = " ".join(str(error).split())
        raise UsageError(f"{name}: the card cannot be made: {cause}") from error


def _plain(options: UntypedMapping) -> UntypedDict:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def _radiometry(request: ImportRequest, named: NamedWeights | None) -> Literal["display", "reflectance"]:
    """Radiometry of the pixels: published weights of numbered bands are of a satellite's reflectance."""
    if request.radiometry is not None:
        return request.radiometry
    bands = [] if named is None else [str(band) for band in named.meta.get("bands") or ()]
    return "reflectance" if bands and all(_NUMBERED_BAND.match(band) for band in bands) else "display"


def _gsd(request: ImportRequest, named: NamedWeights | None) -> GsdRange:
    if request.gsd_m is not None:
        return GsdRange(min=request.gsd_m[0], max=request.gsd_m[1])
    resolution_m = None if named is None else named.resolution_m
    return _ANY_GSD if resolution_m is None else GsdRange(min=resolution_m, max=resolution_m)


def _bands(fitted: Fitted, request: ImportRequest, published: NamedWeights | None) -> tuple[CardBand, ...]:
    count = fitted.bands
    names = request.bands or _meta_bands(published, count) or _USUAL_BANDS.get(count)
    if names is None or len(names) != count:
        given = "none are given" if names is None else f"{len(names)} are given"
        raise UsageError(f"the network takes {count} bands, {given}. Pass --bands with {count} names.")
    usual = _published_scaling(published, _radiometry(request, published)) or _scaling(fitted, count)
    mean, std = (
        tuple(given) * count if len(given) == 1 else tuple(given)
        for given in (request.mean or usual[0], request.std or usual[1])
    )
    if len(mean) != count or len(std) != count:
        raise UsageError(f"the network takes {count} bands, so --mean and --std need one number or {count} each.")
    return tuple(CardBand(name=n, mean=m, std=s) for n, m, s in zip(names, mean, std, strict=True))


def _published_scaling(
    named: NamedWeights | None, radiometry: Literal["display", "reflectance"]
) -> tuple[Sequence[float], Sequence[float]] | None:
    """Means and deviations that the publisher's transforms hold, on the 0 to 1 scale."""
    if named is None or named.scaling is None:
        return None
    white = _DIGITAL_NUMBERS if radiometry == "reflectance" else 255
    mean, std = ([value / white for value in values] for values in named.scaling)
    return mean, std


def _scaling(fitted: Fitted, count: int) -> tuple[Sequence[float], Sequence[float]]:
    """Means and deviations of the bands in the card's order, on the 0 to 1 scale."""
    given = None if fitted.config is None else fitted.config.normalisation
    if given is not None and len(given.mean) in (1, count):
        mean, std = ([value / 255 for value in values] * (count // len(values)) for values in (given.mean, given.std))
        return (mean[::-1], std[::-1]) if given.bgr else (mean, std)
    if fitted.layout.scaling == "unit" or count != len(_IMAGENET[0]):
        return (0.0,) * count, (1.0,) * count
    known = {"caffe": _CAFFE, "centred": _CENTRED, "matterport": _MATTERPORT}
    return known.get(fitted.layout.scaling, _IMAGENET)


def _tile(fitted: Fitted, request: ImportRequest, named: NamedWeights | None) -> tuple[int, int]:
    """Return tile side and halo: of mmsegmentation's sliding window, or of the training tiles."""
    config = fitted.config
    published = None if named is None else named.tile_px
    tile_px, halo_px = int(fitted.options.get("image_px", published or 512)), None
    if config is not None and config.window is not None:
        tile_px = min(config.window.crop_px)
        halo_px = max(0, min(tile_px - min(config.window.stride_px), tile_px - 1) // 2)
    elif config is not None and config.crop_px is not None and "image_px" not in fitted.options:
        tile_px = min(config.crop_px)
    if request.tile_px is not None:
        tile_px, halo_px = request.tile_px, None
    usual = min(64, tile_px // 8) if halo_px is None else halo_px
    return tile_px, usual if request.halo_px is None else request.halo_px


def _assumptions(fitted: Fitted, request: ImportRequest) -> tuple[str, ...]:
    """Return warnings on options and scaling that were assumed because the checkpoint does not contain them."""
    begins = f"the class begins at a probability of {fitted.threshold:g} in its source"
    moved = [f"Its logit is moved: {begins}, and at 0.5 here"] if fitted.threshold != 0.5 else []
    if not fitted.layout.undetectable:
        return tuple(moved)
    given = fitted.config is not None and fitted.config.normalisation is not None
    scaled = given or (request.mean is not None and request.std is not None)
    assumed = [f"{key}={str(value).lower()}" for key, value in fitted.assumed.items()]
    scaling = [] if scaled else [f"the scaling of the pixels ({_SCALINGS[fitted.layout.scaling]})"]
    if not assumed and not scaling:
        return tuple(moved)
    parts = [*([f"the options {', '.join(assumed)}"] if assumed else []), *scaling]
    cure = [*(["--option"] if assumed else []), *(["--mean, --std and --bgr"] if scaling else [])]
    text = f"The checkpoint does not state {' and '.join(parts)}: assumed. Where its source says otherwise, "
    return (f"{text}import it again with {' and '.join(cure)}", *moved)


def _meta_bands(named: NamedWeights | None, count: int) -> tuple[str, ...] | None:
    """Names of published weights' bands, common ones where known; a band of a second date gets a number."""
    if named is None:
        return None
    names: list[str] = []
    for band in named.meta.get("bands") or ():
        slug = common_name(str(band), named.name) or re.sub(r"[^a-z0-9]+", "_", str(band).lower()).strip("_")
        repeats = sum(other == slug or other.startswith(f"{slug}_date") for other in names)
        names.append(f"{slug}_date{repeats + 1}" if repeats else slug)
    return tuple(names) if len(names) == count else None


def _legend(fitted: Fitted, request: ImportRequest, metadata: UntypedMapping, *, interactive: bool) -> Legend:
    if request.legend is not None:
        if len(request.legend) != fitted.classes:
            raise UsageError(f"the legend has {len(request.legend)} classes, the network {fitted.classes}.")
        return request.legend
    names, colours = _named_classes(metadata)
    if fitted.sigmoid and len(names) < 2:
        names, colours = ["background", *(names or ["class"])], []
    if names and len(names) != fitted.classes:
        raise UsageError(
            f"the checkpoint names {len(names)} classes ({', '.join(names[:8])}), the network has {fitted.classes}. "
            "Pass --legend."
        )
    if not names and interactive:
        names = ["background", "object"]
    if not names:
        names = [f"class {code}" for code in range(fitted.classes)]
    if len(set(names)) != len(names) or not all(names):
        raise UsageError(f"the checkpoint's class names are blank or repeat ({', '.join(names[:8])}). Pass --legend.")
    if len(colours) != fitted.classes:
        colours = [bit_colour(code + 1) for code in range(fitted.classes)]
    classes = (LegendClass(code=i, name=n, colour=c) for i, (n, c) in enumerate(zip(names, colours, strict=True)))
    return Legend(classes=tuple(classes))


def _named_classes(metadata: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Class names and colours of mmsegmentation's ``meta``, names of torchvision's ``categories``."""
    meta = metadata.get("meta")
    if not isinstance(meta, Mapping):
        return [], []
    inner = meta.get("dataset_meta")
    given = inner if isinstance(inner, Mapping) else {str(k).lower(): v for k, v in meta.items()}
    names, palette = _listed(given.get("classes")), given.get("palette")
    if not names:
        return [], []
    colours = [_hex(colour) for colour in palette] if isinstance(palette, (list, tuple)) else []
    return names, [colour for colour in colours if colour]


def _listed(names: object) -> list[str]:
    """Class names of a list or of a mapping from their codes; none where it is something else.

    Raises:
        UsageError: a mapping's codes are not 0, 1, 2 and so on.
    """
    if isinstance(names, Mapping):
        coded = {int(code): str(name) for code, name in names.items() if str(code).isdecimal()}
        if sorted(coded) != list(range(len(names))):
            codes = ", ".join(str(code) for code in list(names)[:8])
            raise UsageError(f"the checkpoint's class names have the codes {codes}, not 0, 1, 2 …. Pass --legend.")
        return [coded[code] for code in sorted(coded)]
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def _hex(colour: object) -> str:
    """Format three integers up to 255 as ``#rrggbb``; an empty string for anything else."""
    numbers = tuple(colour) if isinstance(colour, (list, tuple, np.ndarray)) else ()
    if len(numbers) != 3 or not all(isinstance(n, (int, np.integer)) and 0 <= n <= 255 for n in numbers):
        return ""
    return "#" + "".join(f"{int(n):02x}" for n in numbers)
