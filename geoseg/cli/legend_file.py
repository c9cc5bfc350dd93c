"""Legend files: class names and colours as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.legend import Legend


def read_legend(path: Path) -> Legend:
    """Read a legend, YAML or JSON.

    Raises:
        UsageError: it cannot be read, or holds something else; what and where is said.
    """
    import yaml
    from pydantic import ValidationError

    from geoseg.core.legend import Legend
    from geoseg.errors import UsageError

    try:
        return Legend.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: the legend cannot be read ({error}).") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise UsageError(f"{path}: {place or 'the legend'}: {fault['msg']}. See docs/vectorise.md.") from error
