"""The choice of a model in the dialog: a list with bands and pixel sizes, and a preview of the one chosen."""

from __future__ import annotations

from typing import Any

from processing.gui.wrappers import DIALOG_STANDARD, WidgetWrapper
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QCursor, QPixmap
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from .catalogue import Model, models_of
from .environment import EnvironmentMissing
from .settings import executable

_PREVIEW_WIDTH_PX = 360


class ModelChoice(QWidget):
    """A list of models that also takes a path, with a description under it.

    Args:
        models: entries of the list.
        problem: reason why the list is empty.
        described: show description and preview.
    """

    def __init__(self, models: tuple[Model, ...], problem: str, *, described: bool) -> None:
        super().__init__()
        self._models = {model.name: model for model in models}
        self._names = QComboBox()
        self._names.setEditable(True)
        for model in models:
            self._names.addItem(model.name)
            self._names.setItemData(self._names.count() - 1, f"{model.label}\n{model.title}", Qt.ToolTipRole)
        file = QToolButton()
        file.setText("…")
        file.setToolTip("Choose a model file")
        file.clicked.connect(self._choose_file)
        self._words, self._picture = QLabel(problem), QLabel()
        self._words.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self._names, 1)
        row.addWidget(file)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        if described:
            layout.addWidget(self._words)
            layout.addWidget(self._picture)
        self._names.currentTextChanged.connect(self._describe)
        if models:
            self._describe(self._names.currentText())

    def text(self) -> str:
        """Return the name or path that is chosen."""
        return str(self._names.currentText()).strip()

    def set_text(self, text: str) -> None:
        """Choose a name or path."""
        self._names.setCurrentText(text)

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Model file", "", "Models (*.safetensors *.yaml *.onnx);;All (*)")
        if path:
            self.set_text(path)

    def _describe(self, name: str) -> None:
        model = self._models.get(name.strip())
        picture = QPixmap()
        if model is None:
            self._words.setText("A model file." if name.strip() else "")
        else:
            self._words.setText(
                f"{model.title}\nBands: {', '.join(model.bands)}. "
                f"Pixels of {model.gsd_m[0]:g} to {model.gsd_m[1]:g} m. "
                f"Classes: {', '.join(model.classes)}. Licence: {model.licence}."
            )
            if model.preview is not None:
                picture = QPixmap(str(model.preview))
        if picture.isNull():
            self._picture.clear()
        else:
            self._picture.setPixmap(picture.scaledToWidth(_PREVIEW_WIDTH_PX, Qt.SmoothTransformation))


class ModelWidget(WidgetWrapper):
    """Connects the choice with the parameter MODEL of a dialog, a batch or a model of the graphical modeler."""

    def createWidget(self) -> ModelChoice:  # noqa: N802 - called by QGIS
        """Make the widget; asks geoseg for its models the first time."""
        QgsApplication.setOverrideCursor(QCursor(Qt.WaitCursor))
        try:
            models, problem = models_of(executable()), ""
        except (EnvironmentMissing, RuntimeError, OSError, ValueError) as error:
            models, problem = (), str(error)
        finally:
            QgsApplication.restoreOverrideCursor()
        return ModelChoice(models, problem, described=self.dialogType == DIALOG_STANDARD)

    def setValue(self, value: Any) -> None:  # noqa: N802 - called by QGIS
        """Show a value of the parameter."""
        if value:
            self.widget.set_text(str(value))

    def value(self) -> str:
        """Return the value of the parameter."""
        return self.widget.text()
