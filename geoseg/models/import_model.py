"""Import of checkpoints of other projects as geoseg model files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import bit_colour
from geoseg.errors import ModelError, UsageError
from geoseg.io.files.targets import keep_existing, keep_inputs
from geoseg.io.weights.checkpoint_file import Checkpoint, read_checkpoint
from geoseg.io.weights.model_file import write_model
from geoseg.models.named_weights import NamedWeights, is_name, local_file, look_up
from geoseg.nn.checkpoints import Fitted, fit, unwrap
from geoseg.nn.instance.contract import InstanceNetwork
from geoseg.nn.zoo.registry import network_entry

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CAFFE = (tuple(m / 255 for m in (122.67891434, 116.66876762, 104.00698793)), (1 / 255,) * 3)
_USUAL_BANDS = {1: ("pan",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "nir")}
_SCALINGS = {
    "imagenet": "ImageNet's mean and deviation, red, green, blue",
    "caffe": "ImageNet's mean",
    "unit": "divided by 255",
}
_UNKNOWN = "unknown; ask the source of the weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
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
    options: Mapping[str, Any] = field(default_factory=dict)
    legend: Legend | None = None
    bands: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    radiometry: Literal["display", "reflectance"] = "display"
    gsd_m: tuple[float, float] = (0.01, 1000.0)
    tile_px: int | None = None
    halo_px: int | None = None
    licence: str | None = None
    bgr: bool = False


def import_model(
    source: str | Path,
    network: str,
    out: Path | None = None,
    *,
    wanted: Wanted | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, ModelCard]:
    """Convert a checkpoint to a model file.

    Args:
        source: a file, a folder of smp's ``save_pretrained``, or the name of published weights (``torchgeo:...``).
        network: name in the registry.
        out: the file to write; ``NAME.safetensors`` here unless given.
        wanted: fields for the card.
        sha256: required digest of the checkpoint.
        overwrite: True if a file may be replaced.

    Returns:
        The model file and its card.

    Raises:
        ModelError: the checkpoint is broken, holds code, is of another layout or does not fit the network.
        UsageError: the fields for the card do not fit the network.
        OutputError: the model file exists.
    """
    wanted = wanted or Wanted()
    named = look_up(str(source)) if is_name(str(source)) else None
    path = Path(source) if named is None else local_file(named)
    name = wanted.name or _slug(path.name if named is None else named.name.partition(":")[2])
    target = out or Path(f"{name}.safetensors")
    keep_inputs((path, path / "model.safetensors", path / "pytorch_model.bin"), target)
    keep_existing(target, overwrite=overwrite, cure="Pass another --out, or --overwrite.")
    checkpoint = read_checkpoint(path, sha256)
    try:
        fitted = fit(
            network,
            unwrap(checkpoint.content),
            chosen={**_meta_options(network, named), **wanted.options},
            hints=checkpoint.hints,
            bgr=wanted.bgr,
        )
    except ModelError as error:
        raise ModelError(f"{checkpoint.path}: {error}.") from error
    _try(checkpoint.path, fitted)
    card = _card(name, network, fitted, checkpoint, (wanted, named))
    tensors = {key: tensor.detach().contiguous().numpy() for key, tensor in fitted.network.state_dict().items()}
    return target, write_model(target, tensors, card, exact=True)


def _slug(text: str) -> str:
    stem = re.sub(r"\.(pth|pt|pkl|ckpt|bin|safetensors|tar)$", "", text.lower())
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "imported"


def _meta_options(network: str, named: NamedWeights | None) -> dict[str, Any]:
    encoder = None if named is None else named.meta.get("encoder")
    return {"encoder": encoder} if encoder and network.startswith("smp_") else {}


def _try(path: Path, fitted: Fitted) -> None:
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).expand(1, fitted.bands, 64, 64)
    with torch.inference_mode():
        network = fitted.network
        if isinstance(network, InstanceNetwork):
            answers = network.nominal_pass(tile.contiguous())
        else:
            answers = (network(tile.contiguous()),)
    if not all(bool(torch.isfinite(answer).all()) for answer in answers):
        raise ModelError(f"{path}: the network answers NaN or infinity; its weights are broken. Fetch it again.")


def _card(
    name: str,
    network: str,
    fitted: Fitted,
    checkpoint: Checkpoint,
    asked: tuple[Wanted, NamedWeights | None],
) -> ModelCard:
    wanted, named = asked
    meta: Mapping[str, Any] = {} if named is None else named.meta
    hints = {**checkpoint.hints, **({"meta": {"classes": meta["categories"]}} if "categories" in meta else {})}
    tile_px, halo_px = _tile(fitted, wanted)
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
            bands=_bands(fitted, wanted, meta),
            radiometry=wanted.radiometry,
            gsd_m=GsdRange(min=wanted.gsd_m[0], max=wanted.gsd_m[1]),
            tile_px=tile_px,
            halo_px=halo_px,
            legend=_legend(fitted, wanted, hints),
            licence=wanted.licence or str(meta.get("license") or _UNKNOWN),
            warnings=_assumptions(fitted, wanted),
            recipe={"imported": imported},
        )
    except ValueError as error:  # pydantic's own
        if isinstance(error, UsageError):
            raise
        cause = " ".join(str(error).split())
        raise UsageError(f"{name}: the card cannot be made: {cause}") from error


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def _bands(fitted: Fitted, wanted: Wanted, meta: Mapping[str, Any]) -> tuple[CardBand, ...]:
    count = fitted.bands
    names = wanted.bands or _meta_bands(meta, count) or _USUAL_BANDS.get(count)
    if names is None or len(names) != count:
        given = "none are given" if names is None else f"{len(names)} are given"
        raise UsageError(f"the network takes {count} bands, {given}. Pass --bands with {count} names.")
    usual = _scaling(fitted, count)
    mean, std = (
        tuple(given) * count if len(given) == 1 else tuple(given)
        for given in (wanted.mean or usual[0], wanted.std or usual[1])
    )
    if len(mean) != count or len(std) != count:
        raise UsageError(f"the network takes {count} bands, so --mean and --std need one number or {count} each.")
    return tuple(CardBand(name=n, mean=m, std=s) for n, m, s in zip(names, mean, std, strict=True))


def _scaling(fitted: Fitted, count: int) -> tuple[Sequence[float], Sequence[float]]:
    """Means and deviations of the bands in the card's order, on the 0 to 1 scale."""
    told = None if fitted.config is None else fitted.config.normalisation
    if told is not None and len(told.mean) in (1, count):
        mean, std = ([value / 255 for value in values] * (count // len(values)) for values in (told.mean, told.std))
        return (mean[::-1], std[::-1]) if told.bgr else (mean, std)
    if fitted.layout.scaling == "unit" or count != len(_IMAGENET[0]):
        return (0.0,) * count, (1.0,) * count
    return _CAFFE if fitted.layout.scaling == "caffe" else _IMAGENET


def _tile(fitted: Fitted, wanted: Wanted) -> tuple[int, int]:
    """Return tile side and halo: of mmsegmentation's sliding window, or of its training tiles."""
    config = fitted.config
    tile_px, halo_px = int(fitted.options.get("image_px", 512)), None
    if config is not None and config.window is not None:
        tile_px = min(config.window.crop_px)
        halo_px = max(0, min(tile_px - min(config.window.stride_px), tile_px - 1) // 2)
    elif config is not None and config.crop_px is not None and "image_px" not in fitted.options:
        tile_px = min(config.crop_px)
    if wanted.tile_px is not None:
        tile_px, halo_px = wanted.tile_px, None
    usual = min(64, tile_px // 8) if halo_px is None else halo_px
    return tile_px, usual if wanted.halo_px is None else wanted.halo_px


def _assumptions(fitted: Fitted, wanted: Wanted) -> tuple[str, ...]:
    """Return warnings on options and scaling that were assumed because the checkpoint does not contain them."""
    begins = f"the class begins at a probability of {fitted.threshold:g} in its source"
    moved = [f"Its logit is moved: {begins}, and at 0.5 here"] if fitted.threshold != 0.5 else []
    if not fitted.layout.untold:
        return tuple(moved)
    told = fitted.config is not None and fitted.config.normalisation is not None
    scaled = told or (wanted.mean is not None and wanted.std is not None)
    assumed = [f"{key}={str(value).lower()}" for key, value in fitted.assumed.items()]
    scaling = [] if scaled else [f"the scaling of the pixels ({_SCALINGS[fitted.layout.scaling]})"]
    if not assumed and not scaling:
        return tuple(moved)
    parts = [*([f"the options {', '.join(assumed)}"] if assumed else []), *scaling]
    cure = [*(["--option"] if assumed else []), *(["--mean, --std and --bgr"] if scaling else [])]
    text = f"Nothing in the checkpoint tells {' and '.join(parts)}: assumed. Where its source says otherwise, "
    return (f"{text}import it again with {' and '.join(cure)}", *moved)


def _meta_bands(meta: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    """Names of published weights' bands; a band of a second date gets a number."""
    names: list[str] = []
    for band in meta.get("bands") or ():
        slug = re.sub(r"[^a-z0-9]+", "_", str(band).lower()).strip("_")
        repeats = sum(other == slug or other.startswith(f"{slug}_date") for other in names)
        names.append(f"{slug}_date{repeats + 1}" if repeats else slug)
    return tuple(names) if len(names) == count else None


def _legend(fitted: Fitted, wanted: Wanted, hints: Mapping[str, Any]) -> Legend:
    if wanted.legend is not None:
        if len(wanted.legend) != fitted.classes:
            raise UsageError(f"the legend has {len(wanted.legend)} classes, the network {fitted.classes}.")
        return wanted.legend
    names, colours = _told_classes(hints)
    if fitted.sigmoid and len(names) < 2:
        names, colours = ["background", *(names or ["class"])], []
    if names and len(names) != fitted.classes:
        raise UsageError(
            f"the checkpoint names {len(names)} classes ({', '.join(names[:8])}), the network has {fitted.classes}. "
            "Pass --legend."
        )
    if not names:
        names = [f"class {code}" for code in range(fitted.classes)]
    if len(set(names)) != len(names) or not all(names):
        raise UsageError(f"the checkpoint's class names are blank or repeat ({', '.join(names[:8])}). Pass --legend.")
    if len(colours) != fitted.classes:
        colours = [bit_colour(code + 1) for code in range(fitted.classes)]
    classes = (LegendClass(code=i, name=n, colour=c) for i, (n, c) in enumerate(zip(names, colours, strict=True)))
    return Legend(classes=tuple(classes))


def _told_classes(hints: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Class names and colours of mmsegmentation's ``meta``, names of torchvision's ``categories``."""
    meta = hints.get("meta")
    if not isinstance(meta, Mapping):
        return [], []
    inner = meta.get("dataset_meta")
    told = inner if isinstance(inner, Mapping) else {str(k).lower(): v for k, v in meta.items()}
    names, palette = told.get("classes"), told.get("palette")
    if not isinstance(names, (list, tuple)):
        return [], []
    colours = [_hex(colour) for colour in palette] if isinstance(palette, (list, tuple)) else []
    return [str(name) for name in names], [colour for colour in colours if colour]


def _hex(colour: Any) -> str:
    """Format three integers up to 255 as ``#rrggbb``; an empty string for anything else."""
    numbers = tuple(colour) if isinstance(colour, (list, tuple, np.ndarray)) else ()
    if len(numbers) != 3 or not all(isinstance(n, (int, np.integer)) and 0 <= n <= 255 for n in numbers):
        return ""
    return "#" + "".join(f"{int(n):02x}" for n in numbers)
