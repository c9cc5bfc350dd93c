"""The base of the algorithms: runs geoseg, shows its progress, and adds its layers to the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
)
from qgis.PyQt.QtGui import QIcon

from ..environment import EnvironmentMissing
from ..process import Cancelled, Finished, run
from ..results import LayerPlacer, ResultLayer, load_on_completion
from ..settings import executable

_ICON = str(Path(__file__).parents[1] / "icon.svg")
_STAGES = {"predict": (0, 85), "layers": (85, 97), "publish": (97, 100)}
"""First and last percent of each stage of ``geoseg predict``."""


class GeosegAlgorithm(QgsProcessingAlgorithm):
    """Algorithm that runs the geoseg program in a process of its own.

    Subclasses set ``NAME``, ``TITLE``, ``HELP`` and ``TAGS``.
    """

    NAME = TITLE = HELP = ""
    TAGS: tuple[str, ...] = ()

    def name(self) -> str:
        """Return the identifier inside the provider."""
        return self.NAME

    def displayName(self) -> str:  # noqa: N802 - called by QGIS
        """Return the name that the toolbox shows."""
        return self.TITLE

    def shortHelpString(self) -> str:  # noqa: N802 - called by QGIS
        """Return the text beside the dialog."""
        return self.HELP

    def tags(self) -> list[str]:
        """Return further words that the toolbox finds the algorithm by."""
        return ["geoseg", *self.TAGS]

    def icon(self) -> QIcon:
        """Return the icon."""
        return QIcon(_ICON)

    def createInstance(self) -> GeosegAlgorithm:  # noqa: N802 - called by QGIS
        """Make another of its kind."""
        return type(self)()

    def canExecute(self) -> tuple[bool, str]:  # noqa: N802 - called by QGIS
        """Tell whether there is a geoseg program."""
        try:
            executable()
        except EnvironmentMissing as error:
            return False, str(error)
        return True, ""

    def advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Add a parameter to the folded part of the dialog."""
        flag = QgsProcessingParameterDefinition.FlagAdvanced
        parameter.setFlags(parameter.flags() | flag)
        self.addParameter(parameter)

    def run_geoseg(self, arguments: list[str], feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run ``geoseg ARGUMENTS --json`` and return its answer.

        Raises:
            QgsProcessingException: it was cancelled, or ended with another code than 0; the message is geoseg's.
        """
        ran = self.run_command([str(_executable()), *arguments, "--json"], feedback)
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer

    def run_command(self, command: list[str], feedback: QgsProcessingFeedback) -> Finished:
        """Run a program, with its messages in the log of the dialog.

        Raises:
            QgsProcessingException: it was cancelled, cannot be started, or ended with another code than 0.
        """
        feedback.pushCommandInfo(" ".join(f'"{word}"' if " " in word else word for word in command))
        try:
            ran = run(command, lambda line: _show(line, feedback), feedback.isCanceled)
        except Cancelled as error:
            raise QgsProcessingException(
                "Cancelled. geoseg keeps the blocks that are finished: run it again with the same options to go on."
            ) from error
        except OSError as error:
            raise QgsProcessingException(f"{command[0]} cannot be started: {error}") from error
        if ran.code:
            raise QgsProcessingException(ran.last_line or f"{command[0]} ended with code {ran.code}")
        return ran

    def add_layers(self, layers: list[ResultLayer], group: str, context: QgsProcessingContext) -> None:
        """Add layers to the project, in a group of their own, when the algorithm is done; the first is at the top."""
        for index, layer in enumerate(layers):
            load_on_completion(layer, LayerPlacer(group, index), context)


def _executable() -> Path:
    try:
        return executable()
    except EnvironmentMissing as error:
        raise QgsProcessingException(str(error)) from error


def _show(line: str, feedback: QgsProcessingFeedback) -> None:
    entry = _entry(line)
    if "note" in entry:
        feedback.pushInfo(entry["note"])
    elif "stage" in entry:
        first, last = _STAGES.get(entry["stage"], (0, 100))
        share = entry["done_px"] / entry["total_px"] if entry["total_px"] else 0.0
        feedback.setProgress(first + (last - first) * min(share, 1.0))
    elif line:
        feedback.pushConsoleInfo(line)


def _entry(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
