"""Training checkpoints with objects of unknown classes give their tensors; nothing in a pickle is ever run."""

from __future__ import annotations

import argparse
import builtins
import collections
import enum
import functools
import io
import pathlib
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geoseg.errors import ModelError
from geoseg.io.weights import restricted_pickle
from geoseg.io.weights.checkpoint_file import read_checkpoint

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@contextmanager
def library(**classes: type) -> Iterator[types.ModuleType]:
    """A library that there is while a file is written, and no more when it is read."""
    module = types.ModuleType("trainer_of_others")
    for name, kind in classes.items():
        kind.__module__, kind.__qualname__ = module.__name__, name
        setattr(module, name, kind)
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        del sys.modules[module.__name__]


class History:
    """As mmengine's HistoryBuffer: arrays, and its own methods in a dictionary, which pickle stores by ``getattr``."""

    def __init__(self) -> None:
        self._history = np.arange(3.0)
        self._methods = {"min": type(self).least}

    def least(self) -> float:
        return float(self._history.min())


class Attributes(dict[str, Any]):
    """As Lightning's AttributeDict."""


class Names(list[str]):
    """A list of its own kind."""


class Level(enum.Enum):
    LOW = 1


class Slotted:
    __slots__ = ("width",)

    def __init__(self) -> None:
        self.width = 64


def training_checkpoint() -> dict[str, Any]:
    return {
        "state_dict": dict(WEIGHTS),
        "message_hub": {"log_scalars": collections.OrderedDict(loss=History())},
        "hyper_parameters": Attributes(model="unet", names=Names(["a", "b"]), loss=torch.nn.CrossEntropyLoss()),
        "callbacks": collections.defaultdict(list, best=[pathlib.PurePosixPath("a/b"), Level.LOW, Slotted()]),
        "partial": functools.partial(History),
        "deque": collections.deque([1, 2], maxlen=3),
        "set": {1, 2},
        "frozen": frozenset({1}),
        "random": np.random.RandomState(0),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
        "meta": {"CLASSES": ("ground", "roof"), "best": np.float64(0.7), "history": History()},
        "arguments": argparse.Namespace(lr=0.1),
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_come_out_of_any_trainers_checkpoint(legacy: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "epoch_7.pth"
    with library(History=History, Attributes=Attributes, Names=Names, Level=Level, Slotted=Slotted):
        torch.save(training_checkpoint(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(path)
    state = checkpoint.content["state_dict"]
    assert state.keys() == WEIGHTS.keys()
    assert all(torch.equal(state[key], WEIGHTS[key]) for key in WEIGHTS)
    assert tuple(checkpoint.metadata["meta"]["CLASSES"]) == ("ground", "roof")
    assert checkpoint.metadata["hyper_parameters"]["model"] == "unet"
    assert float(checkpoint.content["optimizer"]["state"][0]["step"]) == 3


def test_a_state_dict_of_an_unknown_kind_is_one(tmp_path: Path) -> None:
    with library(Attributes=Attributes):
        torch.save(Attributes(WEIGHTS), tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "c.pth").content.keys() == WEIGHTS.keys()


@pytest.mark.parametrize("place", ["whole", "model"])
def test_a_whole_object_in_the_place_of_weights_is_refused_with_its_class(place: str, tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save(network if place == "whole" else {"model": network, "epoch": 3}, tmp_path / "c.pth")
    with pytest.raises(ModelError, match=r"a whole object.*torch\.nn\.modules\.container\.Sequential"):
        read_checkpoint(tmp_path / "c.pth")


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def named(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


HOSTILE = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "Popen"),
    ("commands", "getoutput"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "open"),
    ("builtins", "__import__"),
    ("__builtin__", "eval"),
    ("__builtin__", "execfile"),
    ("importlib", "import_module"),
    ("runpy", "run_path"),
    ("shutil", "rmtree"),
    ("ctypes", "CDLL"),
    ("pickle", "loads"),
    ("marshal", "loads"),
    ("types", "FunctionType"),
    ("operator", "attrgetter"),
    ("functools", "reduce"),
    ("webbrowser", "open"),
    ("socket", "create_connection"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch.jit", "load"),
    ("torch.utils.cpp_extension", "load"),
    ("torch.serialization", "load"),
    ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"),
    ("geoseg.io.files.writing", "anything"),
]
CALLS = {
    "reduce": lambda name, argument: name + pickle.MARK + argument + pickle.TUPLE + pickle.REDUCE,
    "object": lambda name, argument: pickle.MARK + name + argument + pickle.OBJ,
    "new": lambda name, argument: name + pickle.MARK + argument + pickle.TUPLE + pickle.NEWOBJ,
    "build": lambda name, argument: name + pickle.EMPTY_DICT + pickle.BUILD,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("module", "name"), HOSTILE)
def test_what_would_run_code_is_refused_with_its_name(module: str, name: str, call: str, tmp_path: Path) -> None:
    program = pickle.PROTO + b"\x02" + CALLS[call](named(module, name), text("touch trap")) + pickle.STOP
    with pytest.raises(restricted_pickle.RefusedGlobalError) as refusal:
        restricted_pickle.load(io.BytesIO(program))
    assert refusal.value.name == f"{module}.{name}"


@pytest.mark.parametrize("owner", [named("collections", "OrderedDict"), named("torch", "Tensor"), text("word")])
def test_getattr_gives_nothing_of_what_there_is(owner: bytes) -> None:
    for module in ("builtins", "__builtin__"):
        call = named(module, "getattr") + pickle.MARK + owner + text("__class__") + pickle.TUPLE + pickle.REDUCE
        with pytest.raises(restricted_pickle.RefusedGlobalError):
            restricted_pickle.load(io.BytesIO(call + pickle.STOP))


WATCHED = {"on": False}
FORBIDDEN = ("os.", "subprocess.", "shutil.", "socket.", "exec", "compile", "ctypes.", "import", "code.__new__")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHED["on"] and event.startswith(FORBIDDEN):
        raise AssertionError(f"{event} {arguments}")


sys.addaudithook(_hook)
LONG = b"\xff" * 7 + b"\x0f"
LEAVES = [
    named("os", "system"), named("builtins", "eval"), named("builtins", "getattr"), named("copyreg", "_reconstructor"),
    named("collections", "OrderedDict"), named("collections", "Counter"), named("torch", "Tensor"),
    named("torch._utils", "_rebuild_tensor_v2"), named("torch._tensor", "_rebuild_from_type_v2"),
    named("torch._utils", "_rebuild_parameter_with_state"), named("torch.nn.parameter", "Parameter"),
    named("numpy", "dtype"), named("numpy", "ndarray"), named("numpy.core.multiarray", "_reconstruct"),
    named("numpy.core.multiarray", "scalar"), named("_codecs", "encode"), named("argparse", "Namespace"),
    named("trainer", "Thing"), named("pathlib", "PosixPath"), named("functools", "partial"),
    pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.EMPTY_SET, pickle.NONE, pickle.NEWTRUE,
    text("__class__"), text("forward"), text("touch trap"), text("latin1"), pickle.BININT1 + b"\x03",
    pickle.BINPUT + b"\x01", pickle.BINGET + b"\x01", pickle.MARK, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.REDUCE, pickle.BUILD, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.OBJ, pickle.SETITEM,
    pickle.SETITEMS, pickle.APPEND, pickle.APPENDS, pickle.ADDITEMS, pickle.DUP, pickle.POP, pickle.BINPERSID,
    pickle.PERSID + b"x\n", pickle.STACK_GLOBAL, pickle.FRAME + LONG, pickle.BYTEARRAY8 + LONG,
    pickle.BINUNICODE8 + LONG,    pickle.INST + b"os\nsystem\n", pickle.INST + b"trainer\nThing\n",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(parts=st.lists(st.sampled_from(LEAVES), max_size=25))
@example(parts=[named("torch", "Tensor"), pickle.NONE, pickle.EMPTY_DICT, pickle.TUPLE2, pickle.BUILD])
def test_no_program_of_a_pickle_runs_imports_or_changes_anything(parts: list[bytes]) -> None:
    before = {kind: dict(vars(kind)) for kind in (torch.Tensor, torch.nn.Parameter, np.ndarray, argparse.Namespace)}
    names, modules = dict(vars(builtins)), set(sys.modules)
    failure: Exception | None = None
    WATCHED["on"] = True
    try:
        restricted_pickle.load(io.BytesIO(b"".join(parts) + pickle.STOP))
    except Exception as error:  # noqa: BLE001 - any refusal will do: read_checkpoint puts them into words
        failure = error
    finally:
        WATCHED["on"] = False
    assert not isinstance(failure, MemoryError), "a few bytes asked for all memory"
    assert not str(failure).startswith(FORBIDDEN)
    assert {kind: dict(vars(kind)) for kind in before} == before
    assert dict(vars(builtins)) == names
    assert set(sys.modules) == modules
    assert not Path("trap").exists()
