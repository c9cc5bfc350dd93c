"""geoseg: imagery in, map layers out.

The names below are loaded when first used, so that ``import geoseg`` costs neither torch nor GDAL.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "evaluate": "geoseg.score.files",
    "open_scene": "geoseg.io.scene",
    "load_model": "geoseg.engine.model",
    "predict": "geoseg.run.predict",
    "segment": "geoseg.run.lazy",
    "vectorise": "geoseg.vector.frame",
}

if TYPE_CHECKING:
    from geoseg import nn as nn
    from geoseg.engine.model import load_model as load_model
    from geoseg.io.scene import open_scene as open_scene
    from geoseg.run.lazy import segment as segment
    from geoseg.run.predict import predict as predict
    from geoseg.score.files import evaluate as evaluate
    from geoseg.vector.frame import vectorise as vectorise

__all__ = ["__version__", "evaluate", "load_model", "nn", "open_scene", "predict", "segment", "vectorise"]


def __getattr__(name: str) -> Any:
    if name == "nn":
        return importlib.import_module("geoseg.nn")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'geoseg' has no attribute {name!r}")
