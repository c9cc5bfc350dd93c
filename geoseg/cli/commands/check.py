"""``geoseg check``: verify that all written files still exist and are intact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.io.files.recorded_file import FileState

_FAULTS_FOUND = 6


def check(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="--out of a run or an archive (s3:// too), or a scene's.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> int:
    """Read every finished file again: its digest, and whether it is a whole file of its format.

    Exit code 0: all is whole; 6: files are damaged or missing, and listed. ``geoseg predict --overwrite`` makes them
    anew.
    """
    from geoseg.archive.check import check_output
    from geoseg.archive.outputs.check_store import check_store
    from geoseg.core.text import printable
    from geoseg.io.files.drivers import whole_address
    from geoseg.io.objects.access import is_s3

    folders = files = 0
    faults: list[FileState] = []
    changed: list[FileState] = []
    address = whole_address(str(out))
    for checked in check_store(address) if is_s3(address) else check_output(out):
        folders, files = folders + 1, files + len(checked.states)
        faults += checked.faults
        changed += [state for state in checked.states if state.condition == "changed" and state not in checked.faults]
        if not as_json:
            for state in checked.faults:
                cause = f": {state.cause}" if state.cause else ""
                print(printable(f"{state.path}: {state.condition}{cause}"), flush=True)
    if as_json:
        result = {
            "output": address,
            "whole": not faults,
            "folders": folders,
            "files": files,
            "faults": [_fault(state) for state in faults],
            "changed": [str(state.path) for state in changed],
        }
        print(json.dumps(result))
    else:
        for state in changed:
            print(printable(f"{state.path}: changed since it was written, and whole"))
        count = f"{files:,} files in {folders:,} folder{'' if folders == 1 else 's'}"
        print(printable(f"{address}: {count}, {f'{len(faults):,} damaged or missing' if faults else 'all whole'}"))
    return _FAULTS_FOUND if faults else 0


def _fault(state: FileState) -> dict[str, object]:
    return {"file": str(state.path), "condition": state.condition, "cause": state.cause}
