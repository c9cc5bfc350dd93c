"""The report of a training: one self-contained page, and its figures as separate files."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from geoseg.core.card import ModelCard
from geoseg.io.files.writing import make_durable_folder, write_bytes
from geoseg.training.progress import Line
from geoseg.training.report_pictures import confusion_picture, curves, squares_picture
from geoseg.training.validation import SHOWN, ValidationResult

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}
.warning{background:#fde8e8;border-left:.4rem solid #c00;padding:.6rem}
img{max-width:100%}pre{background:#f4f4f4;padding:.8rem;overflow:auto}"""


def write_report(folder: Path, use: str, card: ModelCard, found: ValidationResult, lines: Sequence[Line]) -> Path:
    """Write ``report.html``, which needs no other file, and its pictures.

    Args:
        folder: folder of the report; created when missing.
        use: command line that uses the model.
        card: card with scores.
        found: result of the validation.
        lines: lines of the log.

    Returns:
        The page.

    Raises:
        WriteError: the disk is full or fails.
    """
    make_durable_folder(folder)
    pictures = {"curves": curves(lines)}
    if found.counts.sum():
        pictures["confusion"] = confusion_picture(found.counts, card.legend)
    if found.crops:
        shown = min(SHOWN, max(1, len(found.crops) // 2))
        pictures["best"] = squares_picture(found.crops[: -shown - 1 : -1], card.legend)
        pictures["worst"] = squares_picture(found.crops[:shown], card.legend)
    for name, content in pictures.items():
        write_bytes(folder / f"{name}.png", content)
    page = folder / "report.html"
    write_bytes(page, _page(use, card, pictures).encode(errors="backslashreplace"))
    return page


def _page(use: str, card: ModelCard, pictures: dict[str, bytes]) -> str:
    titles = {
        "curves": "Training curves",
        "confusion": "Confusion matrix of the held-out data",
        "best": "Best squares of the held-out data",
        "worst": "Worst squares of the held-out data",
    }
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(card.name)}</title><style>{_STYLE}</style>",
        f"<h1>{_text(card.title or card.name)}</h1><p>{_text(card.description)}</p>",
        *(f"<p class=warning>Warning: {_text(warning)}.</p>" for warning in card.warnings),
        f"<h2>Use it</h2><pre>{_text(use)}</pre>",
        "<h2>Scores</h2>" + _table(("data", "metric", "value"), ((s.on, s.metric, f"{s.value}") for s in card.scores)),
        "<h2>Trained on</h2>"
        + _table(("data", "split", "licence"), ((t.name, t.split, t.licence) for t in card.trained_on)),
    ]
    parts += [
        f'<h2>{titles[name]}</h2><img alt="{titles[name]}" src="data:image/png;base64,{_base64(content)}">'
        for name, content in pictures.items()
    ]
    architecture = json.dumps(card.architecture.model_dump(mode="json"), indent=1)
    parts += [
        f"<h2>Recipe</h2><pre>{_text(architecture)}\n{_text(json.dumps(card.recipe, indent=1))}</pre>",
        f"<p>Weights: sha256 {card.weights_sha256}. Licence: {_text(card.licence)}.</p></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<th>{_text(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{_text(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _text(text: str) -> str:
    return html.escape(text)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
