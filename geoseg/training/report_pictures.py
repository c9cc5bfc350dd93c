"""Figures of a training report: curves, confusion matrix, and crops of validation images with labels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.data.labelled import UNLABELLED
from geoseg.training.progress import Line
from geoseg.training.score import Confusion
from geoseg.training.validation import SampleCrop

_UNKNOWN = (255, 255, 255)


def curves(lines: Sequence[Line]) -> bytes:
    """Draw loss, IoU and learning rate over steps, as PNG."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    _curve(panels[0], lines, {"loss": "on chips"}, "loss")
    _curve(panels[1], lines, {"iou": "on chips, varied as they are", "held_out_iou": "on held-out data"}, "IoU")
    panels[1].set_ylim(0, 1)
    _curve(panels[2], lines, {"learning_rate": ""}, "learning rate")
    return _png(figure)


def confusion_picture(counts: Confusion, legend: Legend) -> bytes:
    """Draw a confusion matrix as shares of each true class, as PNG."""
    size = max(4.0, 1.2 + 0.9 * len(legend))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(legend)), legend.names, rotation=45, ha="right")
    axes.set_yticks(range(len(legend)), legend.names)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for row, col in np.ndindex(*counts.shape):
        ink = "white" if shares[row, col] > 0.5 else "black"
        axes.text(col, row, f"{100 * shares[row, col]:.1f} %", ha="center", va="center", color=ink, fontsize=8)
    return _png(figure)


def squares_picture(squares: Sequence[SampleCrop], legend: Legend) -> bytes:
    """Draw crops in rows of image, labels, prediction and their difference, as PNG."""
    figure = Figure(figsize=(11, 3.0 * len(squares)), layout="constrained")
    grid = figure.subplots(len(squares), 4, squeeze=False)
    palette = np.full((256, 3), _UNKNOWN, np.uint8)
    palette[: len(legend)] = [entry.rgb for entry in legend.classes]
    for row, square in zip(grid, squares, strict=True):
        wrong = (square.truth != square.answer) & (square.truth != UNLABELLED)
        image = _displayed(square.values)
        marked = np.where(wrong[..., None], np.array([255, 0, 80], np.uint8), image // 2 + 64)
        pictures = {
            f"IoU {square.score:.2f}": image,
            "labels": palette[square.truth],
            "answer": palette[square.answer],
            f"wrong: {100 * wrong.mean():.1f} %": marked,
        }
        for axes, (title, picture) in zip(row, pictures.items(), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(title, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(square.name, fontsize=7)
    return _png(figure)


def _curve(axes: Axes, lines: Sequence[Line], columns: dict[str, str], title: str) -> None:
    for column, label in columns.items():
        known = [(line["step"], line[column]) for line in lines if np.isfinite(line.get(column, np.nan))]
        if known:
            style: UntypedDict = {"marker": "o", "markersize": 3} if len(known) < 40 else {}
            axes.plot(*zip(*known, strict=True), label=label, **style)
    if len(axes.lines) > 1:
        axes.legend(fontsize=8)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)


def _displayed(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Convert bands to an image: the first three, or the first in grey; values other than 8-bit are stretched."""
    chosen = values[:3] if len(values) >= 3 else np.repeat(values[:1], 3, axis=0)
    picture = np.moveaxis(chosen, 0, -1)
    if picture.dtype == np.uint8:
        return np.asarray(picture, np.uint8)
    low, high = np.nanpercentile(picture.astype(np.float64), (2, 98))
    stretched = (picture.astype(np.float64) - low) / max(high - low, 1e-9)
    return np.asarray(np.nan_to_num(stretched).clip(0, 1) * 255, np.uint8)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()
