"""Output of reports: to a file, or to stdout as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def check_out(out: Path | None, inputs: Iterable[str | Path | None], *, overwrite: bool) -> None:
    """Refuse an output path before the work is done.

    Args:
        out: the report's file.
        inputs: files that the command reads.
        overwrite: replace a file that exists.

    Raises:
        UsageError: the file is one of the inputs, or a folder.
        OutputError: the file exists, or its folder does not.
    """
    from geoseg.errors import OutputError
    from geoseg.io.files.targets import is_there, keep_existing, keep_inputs

    if out is None:
        return
    if is_there(out):
        keep_inputs(inputs, out)
    keep_existing(out, overwrite=overwrite, cure="Pass --overwrite to replace it, or another --out.")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: the folder {out.parent} does not exist. Make it, or choose another --out.")


def deliver(values: dict[str, object], out: Path | None, *, as_json: bool) -> None:
    """Write a report to a file, to stdout, or both."""
    from geoseg.io.files.writing import write_json

    if out is not None:
        write_json(out, values)
    if as_json:
        print(json.dumps(values))
