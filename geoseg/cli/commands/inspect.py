"""``geoseg inspect``: show the properties of a scene and how well each model fits it."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.arguments.opening import (
    AllowRemote,
    AllowVrt,
    Alpha,
    Assets,
    AssumeCrs,
    MaxMpx,
    Nodata,
    Subdataset,
    VrtRoot,
    opening_options,
)
from geoseg.core.text import printable
from geoseg.core.types.json_value import JsonDict, UntypedDict

_WITHIN, _FAR = 0.01, 2.0
_MARKS = {"good": "[yes]", "resampled": "[near]", "poor": "[far]", "none": "[no]"}

if TYPE_CHECKING:
    from geoseg.core.card import ModelCard
    from geoseg.io.raster.scene import Scene


def inspect(
    scene: Annotated[str, typer.Argument(help="File or STAC item.")],
    model: Annotated[str | None, typer.Option(help="Only this model; default: every bundled one.")] = None,
    assume_crs: AssumeCrs = None,
    alpha: Alpha = "auto",
    nodata: Nodata = None,
    assets: Assets = None,
    subdataset: Subdataset = None,
    allow_vrt: AllowVrt = False,
    vrt_root: VrtRoot = None,
    allow_remote: AllowRemote = False,
    max_mpx: MaxMpx = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show grid, bands and nodata of a scene, and how each model would read it."""
    from geoseg.core.window import Window
    from geoseg.io.raster.scene import Scene
    from geoseg.io.raster.scene_parts import subdatasets_of
    from geoseg.models.bundled import BUNDLED
    from geoseg.models.packages import open_package

    opening = opening_options(
        assume_crs=assume_crs,
        alpha=alpha,
        nodata=nodata,
        assets=assets,
        subdataset=subdataset,
        allow_vrt=allow_vrt,
        vrt_root=vrt_root,
        allow_remote=allow_remote,
        max_mpx=max_mpx,
    )
    found = subdatasets_of(scene)
    listing = {"subdatasets": [{"number": n.number, "name": n.name, "description": n.description} for n in found]}
    if subdataset is None and len(found) > 1 and found[0].driver != "GTiff":  # of a TIFF the first image is read
        if as_json:
            print(json.dumps({"scene": scene} | listing))
            return
        print(printable(scene))
        _show_subdatasets(listing)
        print("Pass --subdataset with a name or number to read one.")
        return
    with Scene(scene, opening) as opened:
        facts = _facts(opened) | ({} if opened.subdataset is None else {"subdataset": opened.subdataset})
        facts |= listing if found else {}
        if opened.service is not None:
            facts["service"] = opened.service
            row, col = (int(side) // 2 for side in opened.geobox.shape)
            opened.read(Window(row, row + 1, col, col + 1))  # so that a server that does not answer is told here
        cards = [open_package(name).card for name in ([model] if model else list(BUNDLED))]
        facts["models"] = [_matched(opened, card) for card in cards]
    if as_json:
        print(json.dumps(facts))
        return
    _show(facts)


def _facts(scene: Scene) -> dict[str, object]:
    from geoseg.core.ground import gsd_m
    from geoseg.io.publish.stac_item import without_secrets

    height, width = (int(n) for n in scene.geobox.shape)
    crs = scene.geobox.crs
    epsg = crs.to_epsg() if crs else None
    return {
        "scene": without_secrets(scene.uri) if scene.remote else scene.uri,
        "driver": scene.driver,
        "height_px": height,
        "width_px": width,
        "crs": f"EPSG:{epsg}" if epsg else (crs.to_wkt() if crs else None),
        "transform": list(scene.geobox.transform)[:6],
        "ground_control_points": len(scene.gcps),
        "gsd_m": [side if math.isfinite(side) else None for side in gsd_m(scene.geobox)],
        "dtype": str(scene.dtype),
        "nodata": scene.nodata if scene.nodata is None or math.isfinite(scene.nodata) else str(scene.nodata),
        "further_nodata": scene.options.nodata
        if math.isfinite(scene.options.nodata or 0)
        else str(scene.options.nodata),
        "block_px": list(scene.block_shape),
        "bands": [
            {"index": b.index, "name": b.name, "dtype": b.dtype, "scale": b.scale, "offset": b.offset}
            | {"description": b.description}
            for b in scene.bands
        ],
        "alpha_bands": list(scene.alphas),
        "notes": list(scene.notes),
    }


def _show_subdatasets(facts: UntypedDict) -> None:
    for one in facts.get("subdatasets", ()):
        print(f"  subdataset {one['number']}: {printable(one['name'])} ({printable(one['description'])})")


def _matched(scene: Scene, card: ModelCard) -> JsonDict:
    from geoseg.core.spec import PredictSpec
    from geoseg.errors import MatchError, UsageError
    from geoseg.run.plan import make_plan

    largest = None
    try:
        plan = make_plan(scene, card, PredictSpec())
    except MatchError as error:
        return {"model": card.name, "fit": "none", "refused": f"{error.cause} {error.cure}".strip()}
    with suppress(UsageError):  # not with every network
        largest = make_plan(scene, card, PredictSpec(tile_px="largest"))
    return {
        "model": card.name,
        "fit": _fit(plan.read.scene_gsd_m, card),
        "bands": list(plan.read.bands),
        "read_shape_px": list(plan.read.work_shape),
        "notes": list(plan.read.notes),
        "tiles": len(plan.tiling),
        "computed_share": round(plan.computed_share, 4),
        "computed_share_largest": None if largest is None else round(largest.computed_share, 4),
        "blocks": len(plan.blocks),
        "memory_bytes": plan.memory_bytes(card),
        "disk_bytes": plan.disk_bytes(),
    }


def _fit(gsd_m: tuple[float, float], card: ModelCard) -> str:
    """Rate the resolution of a scene by a card: ``good`` inside its range, ``resampled`` near it, ``poor`` far off."""
    off = max(card.gsd_m.min / min(gsd_m), max(gsd_m) / card.gsd_m.max)
    if off <= 1 + _WITHIN:
        return "good"
    return "resampled" if off <= _FAR else "poor"


def _show(facts: UntypedDict) -> None:
    sides = ["unknown" if side is None else f"{side:.4g}" for side in facts["gsd_m"]]
    print(printable(facts["scene"]))
    print(f"  {facts['driver']}, {facts['height_px']} x {facts['width_px']} px (rows x columns), {facts['dtype']}")
    crs = facts["crs"] or "no CRS"
    print(f"  {crs if len(crs) < 60 else crs[:57] + '...'}, a pixel is {' x '.join(sides)} m on the ground")
    if facts["ground_control_points"]:
        print(f"  placed by {facts['ground_control_points']} ground control points")
    further = "" if facts["further_nodata"] is None else f" and {facts['further_nodata']}"
    print(
        f"  nodata {facts['nodata']}{further}, stored in blocks of {facts['block_px'][0]} x {facts['block_px'][1]} px"
    )
    for band in facts["bands"]:
        scaled = f", value * {band['scale']:g} + {band['offset']:g}" if band["scale"] != 1 or band["offset"] else ""
        words = "" if band["description"] in {"", band["name"]} else f" {printable(band['description'])!r}"
        print(f"  band {band['index']}: {band['name']}{words} ({band['dtype']}{scaled})")
    for index in facts["alpha_bands"]:
        print(f"  band {index}: alpha, pixels where it is 0 have no value (--alpha no reads it as data)")
    if "subdataset" in facts:
        print(f"  read from subdataset {printable(facts['subdataset'])}")
    _show_subdatasets(facts)
    if "service" in facts:
        print(f"  service: {printable(', '.join(f'{name} {value}' for name, value in facts['service'].items()))}")
    for note in facts["notes"]:
        print(f"  note: {printable(note)}")
    for entry in facts["models"]:
        _show_model(entry)


def _computed(entry: UntypedDict) -> str:
    """Tell how many times the pixels the network computes because of halos, and what larger tiles would save."""
    share, largest = entry["computed_share"], entry["computed_share_largest"]
    hint = "" if largest is None or largest >= share else f" ({largest:.2f} with --tile-px largest)"
    return f"which compute {share:.2f} times the pixels{hint}"


def _show_model(entry: UntypedDict) -> None:
    """Print how one model would read the scene, marked by how well it fits."""
    name = f"{_MARKS[entry['fit']]:<6} {entry['model']}"
    if "refused" in entry:
        print(f"{name}: cannot read it: {entry['refused']}")
        return
    rows, cols = entry["read_shape_px"]
    print(
        f"{name}: reads bands {', '.join(map(str, entry['bands']))} as {rows} x {cols} px; "
        f"{entry['tiles']} tiles in {entry['blocks']} blocks, {_computed(entry)}, "
        f"about {entry['memory_bytes'] / 1e6:.0f} MB plus the network, {entry['disk_bytes'] / 1e6:.0f} MB on disk"
    )
    for note in entry["notes"]:
        print(f"       {note}")
    if entry["fit"] == "poor":
        print("       it was trained on pixels of quite another size: do not expect a useful map")
