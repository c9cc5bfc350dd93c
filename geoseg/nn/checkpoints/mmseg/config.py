"""The configuration that mmsegmentation writes into its checkpoints, read as data and never executed.

``meta.cfg`` (1.x) and ``meta.config`` (0.x) hold a text of assignments such as ``model = dict(type='EncoderDecoder')``.
Only literals, calls of ``dict``, ``list`` and ``tuple``, and names assigned above are values here; a statement with
anything else is passed over.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Any

_LONGEST = 1_000_000
_MOST_VALUES = 200_000
_STATEMENT = re.compile(r"^(?=[A-Za-z_]\w* *=(?!=))", re.MULTILINE)
_CONTAINERS = {"dict": dict, "ConfigDict": dict, "list": list, "tuple": tuple}
_NUMBERS = {"inf": inf, "nan": nan}
_LOADERS_OF_BGR = ("LoadImageFromFile", "LoadImageFromNDArray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """How pixels of 0 to 255 are scaled before the network sees them: ``(value - mean) / std``.

    Attributes:
        mean: of each band, in the network's order.
        std: likewise.
        bgr: whether the network sees blue, green, red.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Sides of the window that slides over an image, and its steps, both (rows, columns) in pixels."""

    crop_px: tuple[int, int]
    stride_px: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MmsegConfig:
    """Settings of a network in a configuration.

    Attributes:
        model: its ``model``, as plain values.
        normalisation: None where the configuration does not say how pixels are scaled.
        window: of sliding prediction; None where whole images are seen.
        crop_px: (rows, columns) of its training tiles, if given.
    """

    model: Mapping[str, Any]
    normalisation: Normalisation | None
    window: Window | None
    crop_px: tuple[int, int] | None


class UnreadableConfigError(ValueError):
    """There is a configuration, but its ``model`` cannot be read as data."""


def read_mmseg_config(meta: object) -> MmsegConfig | None:
    """Read the configuration in a checkpoint's ``meta``.

    Args:
        meta: of the checkpoint.

    Returns:
        None where ``meta`` holds no configuration.

    Raises:
        UnreadableConfigError: it holds one whose ``model`` is not plain data.
    """
    if not isinstance(meta, Mapping):
        return None
    text = next((meta[key] for key in ("cfg", "config") if meta.get(key)), None)
    if text is None:
        return None
    values = _plain(text) if isinstance(text, Mapping) else _assignments(text) if isinstance(text, str) else {}
    model = values.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("backbone"), Mapping):
        raise UnreadableConfigError("its configuration cannot be read")
    return MmsegConfig(
        model=model,
        normalisation=_normalisation(model, values),
        window=_window(model, values),
        crop_px=_crop(model, values),
    )


def kind(part: Mapping[str, Any]) -> str:
    """Name the class of a part of a configuration, without the modules before it."""
    return str(part.get("type", "")).rpartition(".")[2]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return value


def _assignments(text: str) -> dict[str, object]:
    """Read the statements of a text, each for itself where they are not a program together."""
    if len(text) > _LONGEST:
        return {}
    values: dict[str, Any] = {}
    left = _MOST_VALUES
    for statement in _parsed(text) or [s for piece in _STATEMENT.split(text) for s in _parsed(piece)]:
        target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
        if isinstance(statement, ast.Assign) and isinstance(target, ast.Name):
            try:
                value = _value(statement.value, values)
                left -= _size(value, left)
                values[target.id] = value
            except (ValueError, TypeError, RecursionError):
                values.pop(target.id, None)
    return values


def _size(value: object, most: int) -> int:
    """Count the values in a value: names that stand for names that stand for names make many of few letters."""
    if most < 1:
        raise ValueError("too many values")
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    size = 1
    for one in inner:
        size += _size(one, most - size)
    return size


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            found = [_value(part, names) for part in parts]
            return tuple(found) if isinstance(node, ast.Tuple) else found
        case ast.Dict(keys=keys, values=parts):
            return dict(_item(key, part, names) for key, part in zip(keys, parts, strict=True))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _value(operand, names)
            if isinstance(number, (int, float)):
                return -number
        case ast.Name(id=name) if name in names or name in _NUMBERS:
            return names[name] if name in names else _NUMBERS[name]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if name in _CONTAINERS:
            return _container(name, [_value(argument, names) for argument in arguments], keywords, names)
        case _:
            pass
    raise ValueError("not plain data")


def _item(key: ast.expr | None, part: ast.expr, names: Mapping[str, Any]) -> tuple[Any, Any]:
    if key is None:
        raise ValueError("not plain data")
    return _value(key, names), _value(part, names)


def _container(name: str, arguments: list[Any], keywords: list[ast.keyword], names: Mapping[str, Any]) -> Any:
    if len(arguments) > 1 or (arguments and not isinstance(arguments[0], (Mapping, list, tuple))):
        raise ValueError("not plain data")
    if _CONTAINERS[name] is not dict:
        if keywords:
            raise ValueError("not plain data")
        return _CONTAINERS[name](*arguments)
    found: dict[str, Any] = dict(*arguments)
    for keyword in keywords:
        value = _value(keyword.value, names)
        found |= value if keyword.arg is None else {keyword.arg: value}
    return found


def _normalisation(model: Mapping[str, Any], values: Mapping[str, Any]) -> Normalisation | None:
    before = model.get("data_preprocessor", values.get("data_preprocessor"))
    if isinstance(before, Mapping):
        turned = bool(before.get("bgr_to_rgb") or before.get("rgb_to_bgr"))
        return _scaling(before, turned=turned, pipeline=values.get("test_pipeline"))
    steps = [*_steps(values.get("test_pipeline")), *_steps(values.get("data"))]
    step = next((step for step in steps if kind(step) == "Normalize"), values.get("img_norm_cfg"))
    if not isinstance(step, Mapping):
        return None
    return _scaling(step, turned=bool(step.get("to_rgb", True)), pipeline=steps)


def _scaling(step: Mapping[str, object], *, turned: bool, pipeline: object) -> Normalisation | None:
    mean, std = _numbers(step.get("mean")), _numbers(step.get("std"))
    if mean is None or std is None or len(mean) != len(std) or min(std) <= 0:
        if step.get("mean") is not None or step.get("std") is not None:
            return None
        mean, std = (0.0,), (1.0,)
    loader = next((kind(s) for s in _steps(pipeline) if kind(s).startswith("Load") and "Annot" not in kind(s)), None)
    bgr = (loader is None or loader in _LOADERS_OF_BGR) and not turned
    return Normalisation(mean=mean, std=std, bgr=bgr)


def _steps(value: object) -> Iterator[Mapping[str, object]]:
    """Walk over every mapping with a type, at any depth."""
    if isinstance(value, Mapping):
        if "type" in value:
            yield value
        for inner in value.values():
            yield from _steps(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _steps(inner)


def _window(model: Mapping[str, Any], values: Mapping[str, Any]) -> Window | None:
    for test in (model.get("test_cfg"), values.get("test_cfg")):
        if isinstance(test, Mapping) and "mode" in test:
            crop, stride = _sides(test.get("crop_size")), _sides(test.get("stride"))
            slides = test["mode"] == "slide" and crop is not None and stride is not None
            return Window(crop_px=crop, stride_px=stride) if slides and crop and stride else None
    return None


def _crop(model: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[int, int] | None:
    before = model.get("data_preprocessor", values.get("data_preprocessor"))
    size = before.get("size") if isinstance(before, Mapping) else None
    crops = (step.get("crop_size") for step in _steps(values.get("train_pipeline")) if kind(step) == "RandomCrop")
    return _sides(size) or _sides(values.get("crop_size")) or next((s for c in crops if (s := _sides(c))), None)


def _sides(value: object) -> tuple[int, int] | None:
    pair: object = (value, value) if isinstance(value, int) else value
    if (
        not isinstance(pair, (list, tuple))
        or len(pair) != 2
        or not all(isinstance(side, int) and side > 0 for side in pair)
    ):
        return None
    return int(pair[0]), int(pair[1])


def _numbers(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, (list, tuple)) or not value:
        return None
    finite = all(isinstance(number, (int, float)) and abs(number) < inf for number in value)
    return tuple(float(number) for number in value) if finite else None
