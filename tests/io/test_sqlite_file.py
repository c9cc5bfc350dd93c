"""Databases that are read in parts: whoever drops the rest closes them."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from geoseg.io.edits.layer_tables import read_rows


def test_rows_that_nobody_wants_may_be_dropped_by_another_thread(tmp_path: Path) -> None:
    """As garbage collection does: it runs in the thread that happens to make objects."""
    path = tmp_path / "layer.gpkg"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE layer (fid INTEGER PRIMARY KEY, value REAL)")
        db.executemany("INSERT INTO layer VALUES (?, ?)", [(number, number / 2) for number in range(3)])
        db.commit()
    rows = read_rows(path, "layer", ("value",))
    assert next(rows) == (0.0,)
    raised: list[BaseException] = []

    def drop() -> None:
        try:
            rows.close()  # type: ignore[attr-defined]
        except BaseException as error:  # noqa: BLE001 - whatever it is
            raised.append(error)

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    assert raised == []
