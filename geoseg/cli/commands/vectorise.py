"""``geoseg vectorise``: any class raster in, polygons out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.arguments.nodata import NodataOption
from geoseg.cli.arguments.objects import ObjectOptions
from geoseg.core.choices import SimplifyMethod, SplitMethod
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.labels.nodata import parse_nodata
from geoseg.io.polygons.registry import VECTOR_SUFFIXES

if TYPE_CHECKING:
    from concurrent.futures import Executor


def vectorise(  # noqa: PLR0915 - a third of the statements are imports
    codes: Annotated[
        Path, typer.Argument(metavar="CODES", help="Class raster: codes in band 1, or colours of --legend.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"File to write: {', '.join(VECTOR_SUFFIXES[:-1])} or {VECTOR_SUFFIXES[-1]};"
            " default: a GeoPackage next to CODES, named after it and the layer."
        ),
    ] = None,
    legend: Annotated[Path | None, typer.Option(help="Class names and colours, YAML or JSON.")] = None,
    confidence: Annotated[Path | None, typer.Option(help="Confidence raster, percent, on the same grid.")] = None,
    nodata: NodataOption = None,
    simplify_m: Annotated[float, typer.Option(help="Tolerance for simpler polygons, metres; 0 is exact.")] = 0.0,
    method: Annotated[SimplifyMethod, typer.Option(help="How to simplify.")] = "douglas-peucker",
    no_smooth: Annotated[bool, typer.Option("--no-smooth", help="Keep pixel stairs when simplifying.")] = False,
    min_area_m2: Annotated[float, typer.Option(help="Smaller regions join a neighbour, m²; objects may go.")] = 0.0,
    objects: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS,...",
            help="Write objects of these classes, by name or code; or 'countable', as the legend says.",
        ),
    ] = None,
    split: Annotated[
        SplitMethod | None,
        typer.Option(help="Where touching objects are parted; default: by confidence if that is given, else distance."),
    ] = None,
    neck: Annotated[
        float | None,
        typer.Option(help="Passage, as share of the narrower part, from which two parts are one object; 0 to 1."),
    ] = None,
    object_ids: Annotated[Path | None, typer.Option(help="Also write a raster of the objects' ids, .tif.")] = None,
    zonal: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGE[:BAND,...]", help="Add statistics of these bands, on the same grid; repeatable."),
    ] = None,
    regularise: Annotated[
        str | None,
        typer.Option(metavar="CLASS,...", help="Add a layer of these classes, by name or code, with right angles."),
    ] = None,
    regularise_m: Annotated[
        float | None, typer.Option(help="Maximum wall displacement, metres; default: 0.5, or 2 pixels if larger.")
    ] = None,
    no_diagonals: Annotated[
        bool, typer.Option("--no-diagonals", help="Allow no walls at 45 degrees there, only right angles.")
    ] = False,
    connectivity: Annotated[int, typer.Option(help="4, or 8 to join across corners.")] = 4,
    block_px: Annotated[int, typer.Option(help="Side of the blocks traced at once.")] = 2048,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Blocks at once; default: all processors.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers trace the blocks.")
    ] = None,
    assume_crs: Annotated[str | None, typer.Option(help="CRS of a raster that carries none.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Turn a class raster into polygons that share their edges, without seams, gaps or overlaps."""
    from geoseg.cli.arguments.regularise import regular_layer
    from geoseg.cli.arguments.zonal import open_bands
    from geoseg.errors import UsageError
    from geoseg.io.files.targets import keep_existing, keep_inputs
    from geoseg.io.files.writing import all_or_none
    from geoseg.io.labels.class_map import ClassMap, hidden_note
    from geoseg.io.labels.class_raster import ClassRaster, ClassRules
    from geoseg.io.labels.confidence_raster import ConfidenceRaster
    from geoseg.io.labels.label_layer import NO_CLASS
    from geoseg.io.labels.legend_file import read_value_legend
    from geoseg.io.labels.raster_legend import legend_of
    from geoseg.io.polygons.geopackage import write_segments
    from geoseg.io.polygons.vector_formats import default_polygon_path, writer_for
    from geoseg.io.polygons.vector_schema import VectorSchema
    from geoseg.io.publish.grid import LayerGrid
    from geoseg.io.publish.style_file import check_style, style_path, write_style
    from geoseg.vector.objects.scene import BlockRun
    from geoseg.vector.spec import VectorSpec
    from geoseg.vector.vectorise import Tracing, vectorise_labels
    from geoseg.vector.zonal import band_columns

    object_options = ObjectOptions(classes=objects, split=split, neck=neck, ids=object_ids, confidence=confidence)
    object_options.check(scheduler)
    target = out or default_polygon_path(codes, object_options.layer)
    write = writer_for(target)
    outputs = [path for path in (target, style_path(target), object_ids) if path is not None]
    keep_inputs((codes, legend, confidence, *(zonal or [])), *outputs)
    for path in filter(None, (target, object_ids)):
        keep_existing(path, overwrite=overwrite, cure="Pass --overwrite to replace it, or --out to write elsewhere.")
    spec = VectorSpec(
        simplify_m=simplify_m,
        method=method,
        smooth=not no_smooth,
        min_area_m2=min_area_m2,
        connectivity=connectivity,  # type: ignore[arg-type]
    )
    if regularise is not None and connectivity == 8:
        raise UsageError("--regularise makes single polygons; leave out --connectivity 8.")
    if regularise is not None and target.suffix.lower() != ".gpkg":
        raise UsageError(f"--regularise writes a second layer, which {target.suffix} has not. Pass --out with .gpkg.")
    given = None if legend is None else read_value_legend(legend)
    rules = ClassRules.of_map(given, parse_nodata(nodata), assume_crs=assume_crs)
    with all_or_none(outputs), ExitStack() as stack:
        classes = stack.enter_context(ClassRaster(_absolute(codes), rules))
        grid = LayerGrid(geobox=classes.geobox, gcps=classes.scene.gcps, gcps_crs=classes.scene.gcps_crs)
        percent = None if confidence is None else ConfidenceRaster(_absolute(confidence), assume_crs, unplaced=False)
        if percent is not None:
            stack.enter_context(percent)
        bands = open_bands(classes.scene, zonal or [], assume_crs, stack)
        source = ClassMap(classes, percent, table=None if given is None else given.table)
        note = hidden_note(classes, None if given is None else given.labels, "get no polygon")
        table = given or legend_of(codes, source.present())
        extra = object_options.columns(band_columns(() if bands is None else bands.names))
        check_style(target, table, object_options.layer, extra.names or (), overwrite=overwrite)
        regular = None
        if regularise is not None:
            regular = regular_layer(regularise, table, grid, tolerance_m=regularise_m, diagonals=not no_diagonals)
            regular = replace(regular, name=f"{object_options.layer}_regular")
        limits = None if objects is None else object_options.spec(table, spec)
        run = BlockRun(block_px=block_px, threads=workers, nodata=NO_CLASS, folder=target.absolute().parent)
        labels, meaning = stack.enter_context(object_options.labels(source, classes.geobox, limits, run))
        how = Tracing(
            spec=spec if limits is None else replace(spec, min_area_m2=0.0),
            block_px=block_px,
            threads=workers,
            executor=None if scheduler is None else stack.enter_context(_executor(scheduler)),
            to_world=grid.to_world if grid.gcps else None,
            bands=bands,
        )
        batches = vectorise_labels(labels, classes.geobox, meaning, how)
        schema = VectorSchema(
            crs_wkt=grid.crs_wkt, legend=table, multi=connectivity == 8, extra=extra, layer=object_options.layer
        )
        count = (
            write(target, batches, schema)
            if regular is None
            else write_segments(target, batches, schema, second=regular)
        )
        object_options.write_ids(labels, grid, block_px)
        style = write_style(target, table, object_options.layer, extra.names or ())
    result = {
        "codes": str(codes),
        "output": str(target),
        object_options.layer: count,
        "layers": [object_options.layer] if regular is None else [object_options.layer, regular.name],
        "style": style and str(style),
        "notes": [] if note is None else [note],
    } | ({} if object_ids is None else {"object_ids": str(object_ids)})
    print(json.dumps(result) if as_json else _in_words(result))


def _in_words(result: UntypedDict) -> str:
    from geoseg.core.text import printable

    layer = result["layers"][0]
    things = "objects" if layer == "objects" else "polygons"
    lines = [f"{Path(result['codes']).name}: {result[layer]:,} {things}; open {result['output']} in QGIS"]
    return "\n".join([*lines, *(printable(f"note: {note}") for note in result["notes"])])


def _absolute(path: Path) -> str:
    """Make a local path absolute, since a worker may run in another folder."""
    return str(path.absolute()) if path.exists() else str(path)


@contextmanager
def _executor(scheduler: str) -> Iterator[Executor]:
    from geoseg.run.cluster import joined_cluster, tracing_executor

    with joined_cluster(scheduler) as client, tracing_executor(client) as executor:
        yield executor
