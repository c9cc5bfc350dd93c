"""Any few options of a command together, sensible or not: never a bug, never a trace of a refused command.

The values come from what the commands declare (types, choices, flags) and from nonsense; the runs are those that
``test_nonsense_options.py`` disturbs in one place.
"""

from __future__ import annotations

import signal
import tempfile
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_nonsense_options import (
    COMMANDS,
    LIMIT_S,
    READ,
    _signals,  # noqa: F401 - a fixture
    command_line,
    geoseg,
    inputs,  # noqa: F401 - a fixture
    parameters,
    values,
)

SKIPPED = {"demo", "doctor"}
"""Commands that take half a minute."""
ENDLESS = {("view", "target"), ("view", "other"), ("archive run", "watch")}
"""Options with which a command runs until it is stopped."""
REFUSED = {2, 3, 4}
SENSIBLE = {
    "int": ["0", "1", "2", "8", "32", "64"],
    "float": ["0", "0.5", "1", "2.5"],
    "text": ["1", "1,2", "red", "auto"],
}


def members(annotation: Any) -> list[Any]:
    """List the members of an enumeration inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return list(annotation)
    return [member for inner in get_args(annotation) for member in members(inner)]


def choices(parameter: Any) -> list[str | None]:
    """List values of a parameter, sensible ones and nonsense; None for a flag that is set."""
    if getattr(parameter, "is_flag", False):
        return [None]
    kind = str(parameter.type_descriptor.annotation)
    found: list[str | None] = [member.value for member in members(parameter.type_descriptor.annotation)]
    found += next((some for word, some in SENSIBLE.items() if word in kind), SENSIBLE["text"])
    found += [value for whole in (False, True) for value in values(parameter, whole_sweep=whole)]
    written = "Path" in kind and parameter.name not in READ
    return [value for value in found if not (written and str(value).startswith("/"))]


TABLE = {
    name: [
        (parameter, choices(parameter))
        for of, parameter in parameters()
        if of == name and (name, parameter.name) not in ENDLESS and parameter.name != "help"
    ]
    for name in COMMANDS
    if name not in SKIPPED
}


@st.composite
def combinations(draw: st.DrawFn) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Draw a command, values of one to four of its parameters, and flags."""
    name = draw(st.sampled_from(sorted(name for name, options in TABLE.items() if options)))
    options = TABLE[name]
    taken = draw(st.lists(st.integers(0, len(options) - 1), min_size=1, max_size=min(4, len(options)), unique=True))
    given_values, flags = {}, []
    for number in taken:
        parameter, found = options[number]
        value = draw(st.sampled_from(found))
        if value is None:
            flags.append(parameter.opts[0])
        else:
            given_values[parameter.name] = value
    return name, given_values, tuple(flags)


def names(folder: Path) -> set[str]:
    """Names of all files below a folder but hidden ones, in which a run keeps finished blocks."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not any(part.startswith(".") for part in path.parts)}


def survives(
    drawn: tuple[str, dict[str, str], tuple[str, ...]],
    inputs: dict[str, str],  # noqa: F811
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Run a command; it ends as documented, and a refused one leaves nothing."""
    name, changed, flags = drawn
    given_folder = Path(inputs["scene"]).parent
    with tempfile.TemporaryDirectory(dir=folder) as place, pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)
        words = inputs | {"out": str(Path(place) / "out" / "x")}
        (Path(place) / "out").mkdir()
        chosen = {key: text.format(**words) for key, text in (COMMANDS[name] | changed).items()}
        before = names(given_folder)
        line = command_line(name, chosen)
        split = line.index("--") if "--" in line else len(line)
        signal.alarm(LIMIT_S)  # for this example
        code = geoseg(*line[:split], *flags, *line[split:])
        said = capfd.readouterr().err
        assert code in {0, 2, 3, 4, 5, 6, 7, 8}, said
        assert "Traceback" not in said
        if code != 0 and "Usage:" not in said:
            assert "geoseg: " in said, said
        if code in REFUSED:
            assert names(Path(place)) == set(), said
            assert names(given_folder) == before, said


KNOWN: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
"""Combinations that ended wrongly once."""
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=20, derandomize=True, suppress_health_check=CHECKS, database=None)
@given(drawn=combinations())
def test_options_together_are_obeyed_or_refused_without_a_trace(
    drawn: tuple[str, dict[str, str], tuple[str, ...]],
    inputs: dict[str, str],  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    survives(drawn, inputs, tmp_path, capfd)


@pytest.mark.slow
@settings(max_examples=1500, suppress_health_check=CHECKS, database=None)
@given(drawn=combinations())
def test_any_options_together_are_obeyed_or_refused_without_a_trace(
    drawn: tuple[str, dict[str, str], tuple[str, ...]],
    inputs: dict[str, str],  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    survives(drawn, inputs, tmp_path, capfd)
