"""Configuration files: whatever stands in them, one refusal tells all that is wrong and where."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from geoseg.errors import UsageError
from geoseg.io.files.yaml_file import read_config
from geoseg.io.labels.legend_file import read_legend


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int
    kind: str = ""


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = {}


def refusal(folder: Path, text: str) -> str:
    path = folder / "some.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_config(path, Whole)
    said = str(refused.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


def test_every_fault_is_told_with_its_line(tmp_path: Path) -> None:
    text = "name: x\nparts:\n  - size: 1\n  - size: large\n    kynd: a\n  - {kind: b}\n"
    text += "by_name:\n  a: {size: []}\nnome: y\n"
    said = refusal(tmp_path, text)
    for place, line in (
        ("parts.1.size", 4),
        ("parts.1.kynd", 5),
        ("parts.2.size", 6),
        ("by_name.a.size", 8),
        ("nome", 9),
    ):
        told = next(part for part in said.split("; ") if place + ": " in part)
        assert told.endswith(f"(line {line})")


class Local(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file: str
    sha256: str


class Named(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class Unions(BaseModel):
    limit: int | Literal["none"] = 0
    range: tuple[float, float] | tuple[tuple[float, float], ...] | None = None
    weights: Local | Named | None = None
    entries: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limit: x", "limit: Input should be a valid integer or 'none' (line 1)"),
        ("range: [1, 2, 3]", "range: List should have at most 2 items after validation, not 3 (line 1)"),
        ("weights: {file: x}", "weights.sha256: Field required (line 1)"),
        ("weights: {name: [x]}", "weights.name: Input should be a valid string (line 1)"),
        ("entries: [x]", "entries.0: Input should be a valid integer, unable to parse string as an integer (line 1)"),
        ("entries: []", "entries: List should have at least 1 item after validation, not 0 (line 1)"),
    ],
)
def test_one_fault_is_one_message_whatever_alternatives_were_tried(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_config(path, Unions)
    assert str(refused.value) == f"{path}: {told}"


@pytest.mark.parametrize("text", ["[" * 20_000, "".join(" " * n + "a:\n" for n in range(600)), "a: " + "{b: " * 3000])
def test_nesting_without_end_is_refused(tmp_path: Path, text: str) -> None:
    assert "50 levels" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    ["name: 2023-02-30", "name: 2023-01-01T25:00:00", "name: !!int x", "name: !!bool x", "name: !!timestamp x",
     "name: !!float x", "name: 0b_", "name: !!int ''", "name: " + "9" * 5000],
)  # fmt: skip
def test_what_only_looks_like_a_number_or_a_date_is_refused(tmp_path: Path, text: str) -> None:
    assert "line 1" in refusal(tmp_path, text)


def test_many_keys_take_no_longer_each_than_few(tmp_path: Path) -> None:
    """Every key is looked up once among those before it, not compared with all of them."""

    def seconds(count: int) -> float:
        began = time.process_time()
        refusal(tmp_path, "name: x\nby_name:\n" + "".join(f"  k{n}: 1\n" for n in range(count)) + "  k0: 1\n")
        return time.process_time() - began

    few = min(seconds(1000) for _ in range(3))
    assert seconds(16_000) < 16 * few * 3


@given(text=st.text(alphabet="ab:-? [],{}&*!|>'\"#%@\n\t0129.~", max_size=40))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    try:
        read_config(path, Whole)
    except UsageError:
        return
    assert isinstance(yaml.safe_load(text), dict)


def test_a_legend_is_checked_as_strictly(tmp_path: Path) -> None:
    path = tmp_path / "legend.yaml"
    path.write_text(
        "classes:\n  - {code: 1, name: roof, colour: red}\n  - {code: 300, name: road, colour: '#000000'}\n"
    )
    with pytest.raises(UsageError, match=r"classes\.0\.colour.*line 2.*classes\.1\.code.*line 3"):
        read_legend(path)
    path.write_text("nodata: 0\nnodata: 255\n")
    with pytest.raises(UsageError, match="stands twice"):
        read_legend(path)
    path.write_text('{"classes": [{"code": 1, "name": "roof", "colour": "#d73027"}]}')
    assert read_legend(path).names == ("roof",)
