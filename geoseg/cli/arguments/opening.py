"""Options for opening scenes, shared by the commands that open scenes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.core import choices

if TYPE_CHECKING:
    from geoseg.io.raster.open_options import OpenOptions

AssumeCrs = Annotated[str | None, typer.Option(help="CRS of scenes that carry none, e.g. EPSG:32633.")]
Alpha = Annotated[
    choices.Alpha,
    typer.Option(help="Use of a band as mask; auto: a band tagged as alpha and not described as data."),
]
Nodata = Annotated[
    float | None, typer.Option(help="One more value that means no measurement, in all bands, e.g. 255; may be nan.")
]
Assets = Annotated[str | None, typer.Option(help="Assets of a STAC item, by key or common name, e.g. red,green,nir.")]
Subdataset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of a file that holds several rasters, the one to read, by name or number; inspect lists them.",
    ),
]
AllowVrt = Annotated[bool, typer.Option("--allow-vrt", help="Read .vrt files.")]
VrtRoot = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Folder that holds all sources of a VRT; default: the VRT's own.")
]
AllowRemote = Annotated[bool, typer.Option("--allow-remote", help="Read s3:// and https:// addresses.")]
MaxMpx = Annotated[float | None, typer.Option(help="Largest scene taken, million pixels (40000).")]


def opening_options(
    *,
    assume_crs: str | None,
    alpha: choices.Alpha,
    nodata: float | None,
    assets: str | None,
    subdataset: str | None,
    allow_vrt: bool,
    vrt_root: str | None,
    allow_remote: bool,
    max_mpx: float | None,
) -> OpenOptions:
    """Make the options of opening scenes from those of a command.

    Raises:
        UsageError: one of them makes no sense.
    """
    from geoseg.io.raster.open_options import OpenOptions

    options = OpenOptions(
        assume_crs=assume_crs,
        alpha=alpha,
        nodata=nodata,
        assets=_asset_names(assets),
        subdataset=subdataset,
        allow_vrt=allow_vrt,
        vrt_root=vrt_root,
        allow_remote=allow_remote,
    )
    return options if max_mpx is None else replace(options, max_pixels=_max_pixels(max_mpx))


def _max_pixels(max_mpx: float) -> int:
    """Parse ``--max-mpx``, million pixels, into pixels.

    Raises:
        UsageError: it is not above 0, or 1e12 or more.
    """
    from geoseg.errors import UsageError

    if not 0 < max_mpx < 1e12:
        raise UsageError(f"--max-mpx {max_mpx:g}: a number above 0 is expected, million pixels.")
    return int(max_mpx * 1e6)


def _asset_names(assets: str | None) -> tuple[str, ...]:
    """Parse ``--assets``.

    Raises:
        UsageError: it names none.
    """
    from geoseg.errors import UsageError

    names = () if assets is None else tuple(name.strip() for name in assets.split(",") if name.strip())
    if assets is not None and not names:
        raise UsageError(f"--assets {assets}: give names of assets, e.g. red,green,nir.")
    return names
