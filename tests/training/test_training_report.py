"""The report of a training stands alone, shows the best and the worst, and takes no name for markup."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_training import recipe, write_squares

from geoseg.data.labelled import UNLABELLED, LabelledImage
from geoseg.score.matrix import iou
from geoseg.training.report_pictures import confusion_picture
from geoseg.training.score import confusion
from geoseg.training.train import train
from geoseg.training.training_report import write_report
from geoseg.training.validation import ValidationResult, validate


def _right_on_the_left(image: LabelledImage, monkeypatch: pytest.MonkeyPatch) -> ValidationResult:
    """Hold out a network that is right in the left half, and says 1 in the right one."""
    answer = image.class_indices.copy()
    answer[answer == UNLABELLED] = 0
    answer[:, image.class_indices.shape[1] // 2 :] = 1
    monkeypatch.setattr("geoseg.training.validation.predict_class_indices", lambda *_: answer)
    return validate(None, [image], recipe().card())  # type: ignore[arg-type]


def _image(shape: tuple[int, int], bands: int = 3) -> LabelledImage:
    rng = np.random.default_rng(0)
    class_indices = rng.integers(0, 2, shape).astype(np.uint8)
    class_indices[:20] = UNLABELLED
    values = rng.integers(0, 256, (bands, *shape)).astype(np.uint8)
    return LabelledImage(name="made", values=values, valid=np.ones(shape, bool), class_indices=class_indices, gsd_m=0.1)


def test_squares_are_ranked_and_their_pixels_are_those_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image((300, 1024))
    found = _right_on_the_left(image, monkeypatch)
    assert [square.score for square in found.crops] == sorted(square.score for square in found.crops)
    assert {square.score for square in found.crops[-4:]} == {1.0}
    assert all("column 5" in square.name or "column 7" in square.name for square in found.crops[:4])
    assert sum(square.truth.size for square in found.crops) == image.class_indices.size
    for square in found.crops:
        counts = confusion(square.truth, square.answer, 2)
        assert square.score == pytest.approx(iou(counts)[1])
    assert found.counts.sum() == (image.class_indices != UNLABELLED).sum()


@pytest.mark.parametrize("bands", [1, 2, 4])
def test_the_page_needs_no_other_file(bands: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image((256, 512), bands)
    found = _right_on_the_left(image, monkeypatch)
    card = recipe().card().model_copy(update={"title": "<script>alert(1)</script>", "scores": found.scores})
    lines = [{"step": 1.0, "loss": 2.0, "learning_rate": 0.1}, {"step": 2.0, "loss": float("nan"), "held_out_iou": 0.5}]
    page = write_report(tmp_path / "report", "geoseg predict --model 'a b'", card, found, lines).read_text()
    assert "<script>" not in page
    assert "--model &#x27;a b&#x27;" in page
    assert "made" in page
    sources = re.findall(r'src="([^"]*)"', page)
    pictures = sorted((tmp_path / "report").glob("*.png"))
    assert {p.stem for p in pictures} == {"curves", "confusion", "best", "worst"}
    assert len(sources) == 4
    for source in sources:
        kind, content = source.split(",")
        assert kind == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert min(picture.size) > 100
    assert not re.findall(r"https?://", page)


def test_nothing_held_out_leaves_only_curves(tmp_path: Path) -> None:
    found = ValidationResult(scores=(), counts=np.zeros((2, 2), np.int64), crops=())
    write_report(tmp_path / "report", "geoseg predict", recipe().card(), found, [])
    assert {p.name for p in (tmp_path / "report").iterdir()} == {"report.html", "curves.png"}


def test_the_confusion_picture_is_dark_where_the_counts_are() -> None:
    legend = recipe().legend
    right, wrong = (
        np.asarray(Image.open(io.BytesIO(confusion_picture(counts, legend))).convert("L"), float)
        for counts in (np.array([[9, 0], [0, 9]]), np.array([[0, 9], [9, 0]]))
    )
    difference = right - wrong
    rows, cols = np.nonzero(difference < -100)
    assert np.corrcoef(rows, cols)[0, 1] > 0.5  # the diagonal, row by row downwards


def test_a_training_leaves_a_report_beside_its_model(tmp_path: Path) -> None:
    path, card = train(recipe(schedule={"steps": 2}), write_squares(tmp_path), tmp_path / "out")
    page = (tmp_path / "out" / "squares_report" / "report.html").read_text()
    assert f"geoseg predict SCENE.tif --model {path} --out maps" in page
    assert card.weights_sha256 in page
    assert "squares rows 64-95" in page
