"""``geoseg predict``: scenes in, layers out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
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
from geoseg.core.choices import (
    Blend,
    EditPolicy,
    Overlaps,
    Precision,
    ProgressStyle,
    RuntimeName,
    SplitMethod,
    Suppression,
    Tta,
)
from geoseg.core.text import printable
from geoseg.core.types.json_value import UntypedDict
from geoseg.process.command import failure, print_message

if TYPE_CHECKING:
    from geoseg.core.spec import ObjectChoice, PredictSpec
    from geoseg.errors import GeosegError
    from geoseg.io.files.checksums import ListedChecksums
    from geoseg.io.raster.open_options import OpenOptions
    from geoseg.io.raster.scene import Scene
    from geoseg.models.model import Model
    from geoseg.run.executor import Executor
    from geoseg.run.predict import Layers


def predict(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE...", help="Files, folders, patterns, STAC items; VRT when allowed.")
    ],
    model: Annotated[list[str], typer.Option(help="Bundled model, model file or ensemble file; repeated: averaged.")],
    out: Annotated[Path, typer.Option(help="Folder for the layers; each scene gets its own inside.")],
    weights: Annotated[str | None, typer.Option(help="Weight of each --model, e.g. 2,1; default: equal.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    runtime: Annotated[RuntimeName, typer.Option(help="Library that runs the network.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the network.")] = "auto",
    tile_px: Annotated[
        str | None, typer.Option(help="Side of a tile, or largest: as memory allows; default: the model's.")
    ] = None,
    halo_px: Annotated[int | None, typer.Option(help="Context on each side of a tile; default: the model's.")] = None,
    block_px: Annotated[int, typer.Option(help="Side of a block, the unit of memory and of resuming.")] = 2048,
    blend: Annotated[Blend, typer.Option(help="Cut tiles at their cores, or taper them into each other.")] = "core",
    tta: Annotated[Tta, typer.Option(help="Average over flips (4 views) or all symmetries (8).")] = "none",
    tta_scales: Annotated[
        str | None, typer.Option(help="Average over the scene read at these scales too, e.g. 0.75,1,1.25.")
    ] = None,
    crf: Annotated[
        str, typer.Option(help="Sharpen by colour: none, deeplabv1, deeplabv2 or W,SXY,SRGB[,SMOOTH_W,SMOOTH_SXY].")
    ] = "none",
    bands: Annotated[str | None, typer.Option(help="Scene bands for the model's, e.g. 3,2,1 or red,green,nir.")] = None,
    gsd_m: Annotated[float | None, typer.Option(help="Read the scene at this ground sample distance, metres.")] = None,
    value_range: Annotated[
        str | None, typer.Option(help="Values that mean black and white, e.g. 0,3000, or auto (2nd-98th percentile).")
    ] = None,
    aoi: Annotated[
        str | None, typer.Option(help="Vector file or FILE:LAYER; nothing is predicted outside its polygons.")
    ] = None,
    simplify_m: Annotated[float, typer.Option(help="Tolerance for simpler polygons, metres; 0 is exact.")] = 0.0,
    min_area_m2: Annotated[
        float | None, typer.Option(help="Smaller polygons join a neighbour, square metres; default: the model's.")
    ] = None,
    objects: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS,...", help="Also write objects of these classes; or 'countable', as the model's legend says."
        ),
    ] = None,
    split: Annotated[
        SplitMethod | None,
        typer.Option(help="Where touching objects are parted; default: confidence, or distance with --no-confidence."),
    ] = None,
    neck: Annotated[
        float | None,
        typer.Option(help="Passage, as share of the narrower part, from which two parts are one object; 0 to 1."),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Least score of a detected object, 0 to 1; default: the model's.")
    ] = None,
    nms_iou: Annotated[
        float | None,
        typer.Option(help="Detections whose masks overlap more are one object; intersection over union. Default: 0.5."),
    ] = None,
    suppress: Annotated[
        Suppression | None,
        typer.Option(help="Repeated detections: the best stays (hard), scores decay (soft), masks are united (merge)."),
    ] = None,
    overlaps: Annotated[
        Overlaps | None, typer.Option(help="Pixels of several objects: the best has them (resolve), or all (keep).")
    ] = None,
    object_ids: Annotated[
        bool, typer.Option("--object-ids", help="Also write a raster of the ids of objects.")
    ] = False,
    regularise: Annotated[
        str | None,
        typer.Option(metavar="CLASS,...", help="Classes whose detected objects also get right angles, in a layer."),
    ] = None,
    panoptic: Annotated[
        bool,
        typer.Option("--panoptic", help="Make a panoptic map of a class map: its things are the parted objects."),
    ] = False,
    stuff_area_m2: Annotated[
        float | None,
        typer.Option(min=0.0, help="On panoptic maps smaller regions of stuff join the stuff around them, m2."),
    ] = None,
    no_vector: Annotated[bool, typer.Option("--no-vector", help="Write no polygons.")] = False,
    no_confidence: Annotated[bool, typer.Option("--no-confidence", help="Write no confidence raster.")] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write entropy and, for several predictions, mutual information.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of each class as a raster of its own.")
    ] = False,
    assume_crs: AssumeCrs = None,
    alpha: Alpha = "auto",
    nodata: Nodata = None,
    assets: Assets = None,
    subdataset: Subdataset = None,
    allow_vrt: AllowVrt = False,
    vrt_root: VrtRoot = None,
    allow_remote: AllowRemote = False,
    max_mpx: MaxMpx = None,
    checksum: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checksums of the scenes by sha256sum; another content is refused."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes on this machine that share the blocks.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers predict.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs made with other options.")] = False,
    edits: Annotated[
        EditPolicy, typer.Option(help="Corrections by hand to a replaced output: do not replace, make again, or drop.")
    ] = "refuse",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    progress: Annotated[
        ProgressStyle, typer.Option(help="Progress on stderr: for people, or one JSON object a line.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Segment scenes and write map layers that open styled in QGIS.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    from geoseg.cli.arguments.instances import instance_choice
    from geoseg.cli.arguments.options import checked, numbers
    from geoseg.cli.arguments.sources import expand, output_names
    from geoseg.core.spec import PanopticChoice, PredictSpec
    from geoseg.io.files.checksums import read_checksums
    from geoseg.io.files.drivers import is_remote
    from geoseg.io.files.targets import check_folder
    from geoseg.io.publish.stac_item import without_secrets
    from geoseg.io.raster.scene import Scene
    from geoseg.models.model import ModelSource
    from geoseg.run.open_executor import ExecutorChoice, open_executor

    check_folder(out)
    spec = checked(
        PredictSpec,
        tile_px=tile_px,
        halo_px=halo_px,
        block_px=block_px,
        blend=blend,
        tta=tta,
        tta_scales=numbers("--tta-scales", tta_scales) or (1.0,),
        crf=crf,
        bands=None if bands is None else tuple(name.strip() for name in bands.split(",")),
        gsd_m=gsd_m,
        value_range=_range(value_range),
        aoi=aoi,
        simplify_m=simplify_m,
        min_area_m2=min_area_m2,
        vector=not no_vector,
        confidence=not no_confidence,
        uncertainty=uncertainty,
        probabilities=probabilities,
        objects=_objects(objects, split, neck),
        instances=instance_choice(
            min_score=min_score,
            nms_iou=nms_iou,
            suppress=suppress,
            overlaps=overlaps,
            object_ids=object_ids or None,
            regularise=regularise,
        ),
        panoptic=checked(PanopticChoice, stuff_area_m2=stuff_area_m2 or 0.0)
        if panoptic or stuff_area_m2 is not None
        else None,
    )
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
    uris = expand(scenes, allow_vrt=allow_vrt)
    listed = None if checksum is None else read_checksums(checksum)
    stems, refused = _stems(uris, opening, listed)
    if len(uris) == 1:
        _unless_refused(refused, uris[0])
    source = ModelSource(
        name_or_path=model[0],
        others=tuple(model[1:]),
        weights=numbers("--weights", weights),
        device=device,
        runtime=runtime,
        precision=precision,
    )
    results: list[UntypedDict] = []
    with open_executor(ExecutorChoice(processes=workers, scheduler=scheduler)) as executor:
        show: ProgressStyle | None = None if quiet or (as_json and progress == "auto") else progress
        loaded = executor.load_model(source)
        ready = _Ready(
            model=loaded, workers=executor, spec=spec, out=out, overwrite=overwrite, edits=edits, progress=show
        )
        for uri, name in zip(uris, output_names(list(zip(uris, stems, strict=True))), strict=True):
            try:
                _unless_refused(refused, uri)
                with Scene(uri, opening) as scene:
                    if listed is not None:
                        listed.verify_all(uri, scene.files, remote=scene.remote)  # again: it may have changed since
                    results.append(_one(ready, scene, name))
            except Exception as error:  # one scene's failure, even by a bug of ours, must not stop the others
                if len(uris) == 1:
                    raise
                results.append({"scene": without_secrets(uri) if is_remote(uri) else uri, **failure(error)})
    failed = [result for result in results if "error" in result]
    if as_json:
        print(json.dumps(results[0] if len(uris) == 1 else {"scenes": results}))
    if failed:
        print_message(f"{len(failed)} of {len(uris)} scenes failed, {len(uris) - len(failed)} are done.")
    return 7 if failed else 0


def _stems(
    uris: list[str], opening: OpenOptions, listed: ListedChecksums | None
) -> tuple[list[str], dict[str, GeosegError]]:
    """Open every scene once, before the model is loaded, its checksums compared; return its stem or the error."""
    from geoseg.errors import GeosegError
    from geoseg.io.raster.scene import Scene

    stems: list[str] = []
    refused: dict[str, GeosegError] = {}
    for uri in uris:
        try:
            if listed is not None:
                listed.verify(uri)
            with Scene(uri, opening) as scene:
                if listed is not None:
                    listed.verify_all(uri, scene.files, remote=scene.remote)
                stems.append(scene.stem)
        except GeosegError as error:
            refused[uri] = error
            stems.append(Path(uri).stem)
    return stems, refused


def _unless_refused(refused: dict[str, GeosegError], uri: str) -> None:
    if uri in refused:
        raise refused[uri]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """Values shared by all scenes of one call."""

    model: Model
    workers: Executor
    spec: PredictSpec
    out: Path
    overwrite: bool
    edits: EditPolicy
    progress: ProgressStyle | None


def _one(ready: _Ready, scene: Scene, name: str | None) -> dict[str, object]:
    from geoseg.cli.output.progress import JsonLines, reporter
    from geoseg.io.publish.stac_item import without_secrets
    from geoseg.run.predict import predict as run
    from geoseg.run.report import Silence

    call = partial(run, scene, ready.model, ready.out, spec=ready.spec, overwrite=ready.overwrite, edits=ready.edits)
    call = partial(call, name=name, workers=ready.workers)
    if ready.progress is None:
        layers = call(reporter=Silence())
    elif ready.progress == "json":
        layers = call(reporter=JsonLines(scene.stem))
    else:
        with reporter(scene.stem) as report:
            layers = call(reporter=report)
        _tell(scene, layers)
    return {
        "scene": without_secrets(scene.uri) if scene.remote else scene.uri,
        "output": str(layers.bundle.directory),
        "fresh": layers.fresh,
        "segments": layers.record["segments"],
        **{name: layers.record[name] for name in ("objects", "things") if name in layers.record},
        "classes": layers.record["classes"],
        "notes": layers.record["notes"],
        "pixels_per_s": layers.record["pixels_per_s"],
        "layers": {role: str(path) for role, path in layers.bundle.by_role().items()},
        "files": {path.name: str(path) for path in sorted(layers.bundle.directory.iterdir())},
    }


def _tell(scene: Scene, layers: Layers) -> None:
    if not layers.fresh:
        print(f"{scene.stem}: done already, nothing to do: {printable(str(layers.bundle.directory))}")
        return
    record = layers.record
    for entry in record["classes"]:
        print(f"  {entry['name']:<24} {entry['area_m2']:>16,.1f} m2")
    polygons = "" if record["segments"] is None else f"{record['segments']:,} polygons, "
    polygons += f"{record['objects']:,} objects, " if "objects" in record else ""
    polygons += f"{record['things']:,} things, " if "things" in record else ""
    speed, project = record["pixels_per_s"] / 1e6, printable(str(layers.bundle.project))
    device = record["runtime"]["device"]  # which --device auto chose
    print(f"{scene.stem}: {polygons}{speed:.2f} Mpx/s on {device}; open {project} in QGIS")


def _objects(classes: str | None, split: SplitMethod | None, neck: float | None) -> ObjectChoice | None:
    from geoseg.cli.arguments.options import checked
    from geoseg.core.spec import ObjectChoice
    from geoseg.errors import UsageError

    if classes is not None:
        return checked(ObjectChoice, classes=classes, split=split, neck=neck)
    if (split, neck) != (None, None):
        raise UsageError("--split and --neck are about objects; name classes with --objects.")
    return None


def _range(text: str | None) -> tuple[float, float] | str | None:
    from geoseg.errors import UsageError

    if text is None or text == "auto":
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--value-range {text}: two numbers LOW,HIGH are expected, or auto.") from error
    return low, high
