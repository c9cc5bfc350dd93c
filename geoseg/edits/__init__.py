"""Corrections by hand to a finished map: apply, undo, redo, save.

``geoseg.edits.open(folder)`` opens the layers of a scene; see ``EditSession``.
"""

from __future__ import annotations

from geoseg.edits.session import EditSession
from geoseg.edits.session import open_session as open  # noqa: A004 - geoseg.edits.open(folder)
from geoseg.errors import StaleRevisionError
from geoseg.io.edits.edit import Edit, EditLog, LoggedEdit

__all__ = ["Edit", "EditLog", "EditSession", "LoggedEdit", "StaleRevisionError", "open"]
