"""Make environment: a venv with geoseg in it, apart from the Python of QGIS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ..environment import EnvironmentMissing, environment_commands, find_python, program_of
from ..settings import environment_folder, package
from .geoseg_algorithm import GeosegAlgorithm


class MakeEnvironment(GeosegAlgorithm):
    """Makes the environment that the other algorithms run in."""

    NAME = "make_environment"
    TITLE = "Make environment"
    TAGS = ("install", "setup", "python", "venv")
    HELP = (
        "Makes a Python environment with geoseg in the folder of your QGIS profile, by venv and pip. It takes several "
        "gigabytes and some minutes, and needs the internet. QGIS's own Python is not touched. Not needed where geoseg "
        "is installed already: the path of its program is found, or set under Settings > Options > Processing > "
        "Providers > geoseg."
    )

    def flags(self) -> Any:
        """Keep it out of models."""
        return super().flags() | QgsProcessingAlgorithm.FlagHideFromModeler

    def canExecute(self) -> tuple[bool, str]:  # noqa: N802 - called by QGIS
        """Tell that it can be run without a geoseg program."""
        return True, ""

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - called by QGIS
        """Declare the parameters and outputs."""
        del configuration
        self.addParameter(
            QgsProcessingParameterString(
                "PACKAGE", "What pip installs (empty: the geoseg inside the plugin)", optional=True
            )
        )
        self.advanced(QgsProcessingParameterFile("PYTHON", "Python 3.11 or newer (empty: found)", optional=True))
        self.addOutput(QgsProcessingOutputString("PROGRAM", "geoseg program"))

    def processAlgorithm(  # noqa: N802 - called by QGIS
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run venv and pip."""
        wanted = self.parameterAsString(parameters, "PACKAGE", context).strip() or package()
        if not wanted:
            raise QgsProcessingException(
                "This plugin carries no geoseg. Name what pip shall install: a wheel, a folder with the source, or an "
                "address such as git+https://..."
            )
        chosen = self.parameterAsString(parameters, "PYTHON", context)
        try:
            python = Path(chosen) if chosen else find_python()
        except EnvironmentMissing as error:
            raise QgsProcessingException(str(error)) from error
        folder = environment_folder()
        commands = environment_commands(python, folder, wanted)
        for index, command in enumerate(commands):
            feedback.setProgress(100 * index / len(commands))
            self.run_command(command, feedback)
        feedback.pushInfo(f"geoseg is installed in {folder}")
        return {"PROGRAM": str(program_of(folder))}
