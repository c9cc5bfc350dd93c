"""``geoseg evaluate seams``: measure the visibility of tile seams in a map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.score.compare_tilings import TileSize


def seams(
    prediction: Annotated[Path, typer.Option(help="Class raster or a scene's output folder.")],
    shifted: Annotated[
        Path, typer.Option(help="The same scene, cropped or with another --tile-px, by the same model.")
    ],
    near_px: Annotated[int, typer.Option(min=1, max=4096, help="Pixels on either side that are near a seam.")] = 8,
    tile_px: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Tile of the prediction, without its run.json.")
    ] = None,
    halo_px: Annotated[
        int | None, typer.Option(min=0, max=1_000_000, help="Halo of the prediction, without its run.json.")
    ] = None,
    shifted_tile_px: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Tile of the other map, without its run.json.")
    ] = None,
    shifted_halo_px: Annotated[
        int | None, typer.Option(min=0, max=1_000_000, help="Halo of the other map, without its run.json.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Measure how much more two tilings of one scene differ near their seams than elsewhere."""
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.cli.output.score_tables import print_seams
    from geoseg.score.compare_tilings import compare_tilings

    check_out(out, (prediction, shifted), overwrite=overwrite)
    values = compare_tilings(
        prediction,
        shifted,
        near_px=near_px,
        tiles=_tiles(tile_px, halo_px, ""),
        shifted_tiles=_tiles(shifted_tile_px, shifted_halo_px, "shifted-"),
    )
    deliver(values, out, as_json=as_json)
    if not as_json:
        print_seams(values)


def _tiles(tile_px: int | None, halo_px: int | None, prefix: str) -> TileSize | None:
    from geoseg.errors import UsageError
    from geoseg.score.compare_tilings import TileSize

    if tile_px is None and halo_px is None:
        return None
    if tile_px is None or halo_px is None:
        raise UsageError(f"--{prefix}tile-px and --{prefix}halo-px go together: give both.")
    return TileSize(tile_px=tile_px, halo_px=halo_px)
