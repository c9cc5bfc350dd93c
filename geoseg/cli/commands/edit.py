"""``geoseg edit``: corrections by hand to a finished map, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.edits.session import EditSession

edit = typer.Typer(help="Correct a finished map by hand: apply, undo, redo and save edits.", no_args_is_help=True)

Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a scene's layers, or --out of a run of one scene.")]
Revision = Annotated[
    int | None, typer.Option(min=0, help="Refuse if the map is at another revision; default: the latest one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@edit.command()
def apply(
    out: Out,
    edits: Annotated[Path, typer.Argument(metavar="EDITS.geojson", help="One feature for each edit, in order.")],
    author: Annotated[str | None, typer.Option(help="Author of edits that name none; default: the user.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Put the edits into the layers at once.")] = False,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Add the edits of a file to the log of a map, all or none; the layers show them after a save.

    Properties of a feature: kind (repaint, set_class, move_vertex, add_object, reshape_object, delete_object,
    split_object, merge_objects), class (name, code or nodata), ids, layer, width_px, author.
    """
    from geoseg.edits.edit_file import read_edits
    from geoseg.edits.session import open_session
    from geoseg.errors import SceneError, UsageError

    session = open_session(out, author=author)
    try:
        session.apply(*read_edits(edits, session.finished), revision=revision)
    except UsageError as error:
        raise SceneError(str(edits), str(error)) from error
    if save:
        session.save()
    _print(session, as_json=as_json)


@edit.command(name="list")
def list_edits(out: Out, as_json: AsJson = False) -> None:
    """List all edits of a map, in order."""
    from geoseg.core.text import printable
    from geoseg.edits.session import open_session

    session = open_session(out)
    if not as_json:
        for number, entry in enumerate(session.log.entries, start=1):
            one = entry.edit
            code = "" if one.class_code is None else f" class {one.class_code}"
            ids = "" if not one.ids else f" {one.layer} {', '.join(map(str, one.ids))}"
            state = entry.state if entry.state != "active" else "saved" if entry.saved else "not saved"
            when = one.time.isoformat(timespec="seconds")
            print(printable(f"{number:4} {one.kind}{code}{ids}, {one.author or 'nobody'}, {when}: {state}"))
    _print(session, as_json=as_json)


@edit.command()
def undo(
    out: Out,
    all_edits: Annotated[bool, typer.Option("--all", help="Undo every edit.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Rewrite the layers at once.")] = False,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Undo the last edit; without edits a save puts the files of the run back."""
    from geoseg.edits.session import open_session

    session = open_session(out)
    session.undo(revision=revision, every=all_edits)
    if save:
        session.save()
    _print(session, as_json=as_json)


@edit.command()
def redo(
    out: Out,
    save: Annotated[bool, typer.Option("--save", help="Rewrite the layers at once.")] = False,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Redo the edit that was undone last."""
    from geoseg.edits.session import open_session

    session = open_session(out)
    session.redo(revision=revision)
    if save:
        session.save()
    _print(session, as_json=as_json)


@edit.command()
def save(
    out: Out,
    again: Annotated[
        bool, typer.Option("--again", help="Rewrite all layers from the files of the run, also if nothing is pending.")
    ] = False,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Rewrite the layers of a map so that they show its edits, whole or not at all."""
    from geoseg.edits.session import open_session

    session = open_session(out)
    session.save(revision=revision, again=again)
    _print(session, as_json=as_json)


def _print(session: EditSession, *, as_json: bool) -> None:
    from geoseg.core.text import printable
    from geoseg.edits.edit_file import facts_of_edit

    log, folder = session.log, session.finished.bundle.directory
    if as_json:
        state = {"folder": str(folder), "revision": log.revision, "pending": len(log.pending)}
        print(json.dumps(state | {"edits": [facts_of_edit(entry) for entry in log.entries]}))
        return
    pending = f", {len(log.pending)} not saved" if log.pending else ""
    print(printable(f"{folder}: revision {log.revision}, {len(log.active)} edits{pending}"))
