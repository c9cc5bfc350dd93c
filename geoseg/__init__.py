"""geoseg: imagery in, map layers out.

The names below are loaded when first used, so that ``import geoseg`` costs neither torch nor GDAL. Paths may be ``str``
or ``Path``. An input that is refused raises an error of ``geoseg.errors``.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import sys

_program = (getattr(sys, "argv", None) or [""])[0]
if (
    _program.rpartition("/")[2] == "geoseg" or (_program == "-m" and "geoseg" in sys.orig_argv[:8])
) and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # This is the command, and until it watches its signals Ctrl-C ends it as SIGTERM does: Python would print a
    # traceback. So it is the first thing that happens, by a module that is built in: importing others takes a while.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import importlib  # noqa: E402 - see above
from typing import TYPE_CHECKING, Any  # noqa: E402 - same

__version__ = "0.1.0"

_FUNCTIONS = {
    "evaluate": "geoseg.score.evaluate_files",
    "load_model": "geoseg.models.model",
    "objects": "geoseg.vector.dataframe",
    "open_scene": "geoseg.io.raster.scene",
    "predict": "geoseg.run.predict",
    "save_model": "geoseg.models.save_model",
    "segment": "geoseg.run.lazy",
    "train": "geoseg.training.train",
    "vectorise": "geoseg.vector.dataframe",
    "view": "geoseg.viewer.notebook",
}
_VALUES = {
    "Architecture": "geoseg.core.card",
    "CardBand": "geoseg.core.card",
    "GsdRange": "geoseg.core.card",
    "Legend": "geoseg.core.legend",
    "LegendClass": "geoseg.core.legend",
    "ModelCard": "geoseg.core.card",
    "PredictSpec": "geoseg.core.spec",
    "Scene": "geoseg.io.raster.scene",
    "TiledPrediction": "geoseg.run.callbacks.tiled_prediction",
    "ValueClass": "geoseg.core.legend",
    "ValueLegend": "geoseg.core.legend",
    "VectorSpec": "geoseg.vector.spec",
}
_ERRORS = frozenset(
    {"GeosegError", "LegendError", "MatchError", "ModelError", "OutputError", "ResourceError", "SceneError"}
    | {"UsageError", "WriteError"}
)
_MODULES = ("errors", "nn")

if TYPE_CHECKING:
    from geoseg import errors as errors
    from geoseg import nn as nn
    from geoseg.core.card import Architecture as Architecture
    from geoseg.core.card import CardBand as CardBand
    from geoseg.core.card import GsdRange as GsdRange
    from geoseg.core.card import ModelCard as ModelCard
    from geoseg.core.legend import Legend as Legend
    from geoseg.core.legend import LegendClass as LegendClass
    from geoseg.core.legend import ValueClass as ValueClass
    from geoseg.core.legend import ValueLegend as ValueLegend
    from geoseg.core.spec import PredictSpec as PredictSpec
    from geoseg.errors import GeosegError as GeosegError
    from geoseg.errors import LegendError as LegendError
    from geoseg.errors import MatchError as MatchError
    from geoseg.errors import ModelError as ModelError
    from geoseg.errors import OutputError as OutputError
    from geoseg.errors import ResourceError as ResourceError
    from geoseg.errors import SceneError as SceneError
    from geoseg.errors import UsageError as UsageError
    from geoseg.errors import WriteError as WriteError
    from geoseg.io.raster.scene import Scene as Scene
    from geoseg.io.raster.scene import open_scene as open_scene
    from geoseg.models.model import load_model as load_model
    from geoseg.models.save_model import save_model as save_model
    from geoseg.run.callbacks.tiled_prediction import TiledPrediction as TiledPrediction
    from geoseg.run.lazy import segment as segment
    from geoseg.run.predict import predict as predict
    from geoseg.score.evaluate_files import evaluate as evaluate
    from geoseg.training.train import train as train
    from geoseg.vector.dataframe import objects as objects
    from geoseg.vector.dataframe import vectorise as vectorise
    from geoseg.vector.spec import VectorSpec as VectorSpec
    from geoseg.viewer.notebook import view as view

__all__ = [
    "Architecture",
    "CardBand",
    "GeosegError",
    "GsdRange",
    "Legend",
    "LegendClass",
    "LegendError",
    "MatchError",
    "ModelCard",
    "ModelError",
    "OutputError",
    "PredictSpec",
    "ResourceError",
    "Scene",
    "SceneError",
    "TiledPrediction",
    "UsageError",
    "ValueClass",
    "ValueLegend",
    "VectorSpec",
    "WriteError",
    "__version__",
    "errors",
    "evaluate",
    "load_model",
    "nn",
    "objects",
    "open_scene",
    "predict",
    "save_model",
    "segment",
    "train",
    "vectorise",
    "view",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"geoseg.{name}")
    if name in _ERRORS:
        return getattr(importlib.import_module("geoseg.errors"), name)
    if name in _VALUES:
        return getattr(importlib.import_module(_VALUES[name]), name)
    if name in _FUNCTIONS:
        from geoseg.api import speaks_python  # noqa: PLC0415 - loaded when first used

        globals()[name] = speaks_python(getattr(importlib.import_module(_FUNCTIONS[name]), name))
        return globals()[name]
    raise AttributeError(f"module 'geoseg' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
