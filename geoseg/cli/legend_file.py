"""Legend files: class names and colours as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.legend import Legend


def read_legend(path: Path) -> Legend:
    """Read a legend, YAML or JSON.

    Raises:
        UsageError: it cannot be read, or holds something else; all that is wrong is said, with its line.
    """
    from geoseg.core.legend import Legend
    from geoseg.io.yaml_file import read_config

    return read_config(path, Legend)
