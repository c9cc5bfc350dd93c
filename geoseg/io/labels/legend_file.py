"""Legend files: class names and colours written by users, YAML or JSON."""

from __future__ import annotations

from pathlib import Path

from geoseg.core.legend import Legend, ValueLegend
from geoseg.io.files.yaml_file import read_config


def read_legend(path: Path) -> Legend:
    """Read the legend of a model.

    Raises:
        UsageError: it cannot be read, or holds something else; all that is wrong is said, with its line.
    """
    return read_config(path, Legend)


def read_value_legend(path: Path) -> ValueLegend:
    """Read the legend of a raster, whose classes may list their raster ``values``.

    Raises:
        UsageError: it cannot be read, or holds something else; all that is wrong is said, with its line.
    """
    return read_config(path, ValueLegend)
