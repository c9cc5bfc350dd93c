"""``geoseg view``: show a scene, a run or an archive in the browser."""

from __future__ import annotations

from typing import Annotated

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


def view(
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT|SCENE|ARCHIVE", help="--out of a run or an archive, a scene's own folder, or a scene."
        ),
    ],
    compare: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Output of another run of the same scenes, to compare with.")
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Let the page correct the map.")] = False,
    click_model: Annotated[
        str, typer.Option(metavar="MODEL", help="With --edit: bundled model or file that outlines what is clicked on.")
    ] = "clicks",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    assume_crs: AssumeCrs = None,
    alpha: Alpha = "auto",
    nodata: Nodata = None,
    assets: Assets = None,
    subdataset: Subdataset = None,
    allow_vrt: AllowVrt = False,
    vrt_root: VrtRoot = None,
    allow_remote: AllowRemote = False,
    max_mpx: MaxMpx = None,
) -> None:
    """Show imagery, maps and polygons in the browser, until Ctrl-C. Nothing leaves this machine."""
    from geoseg.core.text import printable
    from geoseg.errors import UsageError
    from geoseg.io.files.interrupts import serve_until_stopped
    from geoseg.viewer.requirements import missing_package

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
    try:
        from geoseg.viewer.opened import MapView, open_run
        from geoseg.viewer.serve import open_browser, start_server
    except ModuleNotFoundError as error:
        raise missing_package(error) from error
    run = open_run(target, opening)
    if edit and all(scene.bundle is None for scene in run.scenes):
        raise UsageError(
            f"{target}: --edit corrects a map, and this is a scene. Run geoseg predict, and give its folder."
        )
    other = None if compare is None else open_run(compare, opening)
    server = start_server(MapView(run=run, other=other, edit=edit, click_model=click_model), port=port)
    print(f"{printable(run.title)}: {server.address}", flush=True)
    opened = not no_browser and open_browser(server.address)
    print(
        "It is open in the browser; Ctrl-C ends it." if opened else "Open this address in a browser; Ctrl-C ends it.",
        flush=True,
    )
    serve_until_stopped()
    try:
        server.wait()
    finally:
        server.stop()
