"""``geoseg vectorise``: any class raster in, polygons out."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.core.legend import Legend


class Method(StrEnum):
    """Choices of --method."""

    visvalingam = "visvalingam"
    douglas_peucker = "douglas-peucker"


def vectorise(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="Class raster: whole numbers 0-254 in band 1.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: CODES_segments.gpkg beside it.")] = None,
    legend: Annotated[Path | None, typer.Option(help="Class names and colours, YAML or JSON.")] = None,
    confidence: Annotated[Path | None, typer.Option(help="Confidence raster, percent, on the same grid.")] = None,
    nodata: Annotated[int | None, typer.Option(help="One more value that means no class.")] = None,
    simplify_m: Annotated[float, typer.Option(help="Tolerance for simpler polygons, metres; 0 is exact.")] = 0.0,
    method: Annotated[Method, typer.Option(help="How to simplify.")] = Method.douglas_peucker,
    no_smooth: Annotated[bool, typer.Option("--no-smooth", help="Keep pixel stairs when simplifying.")] = False,
    min_area_m2: Annotated[float, typer.Option(help="Smaller regions join a neighbour, square metres.")] = 0.0,
    connectivity: Annotated[int, typer.Option(help="4, or 8 to join across corners.")] = 4,
    block_px: Annotated[int, typer.Option(help="Side of the blocks traced at once.")] = 2048,
    workers: Annotated[int | None, typer.Option(help="Blocks at once; default: all processors.")] = None,
    assume_crs: Annotated[str | None, typer.Option(help="CRS of a raster that carries none.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Turn a class raster into polygons that share their edges, without seams, gaps or overlaps."""
    from geoseg.errors import OutputError
    from geoseg.io.class_scene import NODATA, ClassScene, legend_of
    from geoseg.io.geopackage import write_segments
    from geoseg.io.grid import LayerGrid
    from geoseg.io.scene import open_scene
    from geoseg.vector.spec import VectorSpec
    from geoseg.vector.vectorise import vectorise_codes

    target = out or codes.with_name(f"{codes.stem}_segments.gpkg")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists already. Pass --overwrite to replace it, or --out to write elsewhere.")
    spec = VectorSpec(
        simplify_m=simplify_m,
        method=method.value,
        smooth=not no_smooth,
        min_area_m2=min_area_m2,
        connectivity=connectivity,  # type: ignore[arg-type]
    )
    table = None if legend is None else _read_legend(legend)
    with open_scene(str(codes), assume_crs=assume_crs, palette_codes=True) as scene:
        grid = LayerGrid(geobox=scene.geobox, gcps=scene.gcps, gcps_crs=scene.gcps_crs)
        percent = None if confidence is None else open_scene(str(confidence), assume_crs=assume_crs)
        try:
            source = ClassScene(scene, percent, nodata=nodata if table is None or nodata is not None else table.nodata)
            table = table or legend_of(codes, source.present())
            batches = vectorise_codes(
                source,
                scene.geobox,
                nodata=NODATA,
                spec=spec,
                block_px=block_px,
                threads=workers,
                to_world=grid.to_world if grid.gcps else None,
            )
            count = write_segments(target, batches, crs_wkt=grid.crs_wkt, legend=table, multi=connectivity == 8)
        finally:
            if percent is not None:
                percent.close()
    if as_json:
        print(json.dumps({"codes": str(codes), "output": str(target), "segments": count}))
        return
    print(f"{codes.name}: {count:,} polygons; open {target} in QGIS")


def _read_legend(path: Path) -> Legend:
    import yaml
    from pydantic import ValidationError

    from geoseg.core.legend import Legend
    from geoseg.errors import UsageError

    try:
        return Legend.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: the legend cannot be read ({error}).") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise UsageError(f"{path}: {place or 'the legend'}: {fault['msg']}. See docs/vectorise.md.") from error
