"""Legend files: class names and colours as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.legend import Legend, ValueLegend


def read_legend(path: Path) -> Legend:
    """Read the legend of a model, YAML or JSON.

    Raises:
        UsageError: it cannot be read, or holds something else; all that is wrong is said, with its line.
    """
    from geoseg.core.legend import Legend
    from geoseg.io.files.yaml_file import read_config

    return read_config(path, Legend)


def read_value_legend(path: Path) -> ValueLegend:
    """Read the legend of a raster, whose classes may list their raster ``values``; otherwise like ``read_legend``.

    Raises:
        UsageError: it cannot be read, or holds something else; all that is wrong is said, with its line.
    """
    from geoseg.core.legend import ValueLegend
    from geoseg.io.files.yaml_file import read_config

    return read_config(path, ValueLegend)
