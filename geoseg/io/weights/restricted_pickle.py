"""Unpickler for checkpoints: tensors and plain values, and inert stand-ins for objects of other classes.

``torch.load(..., pickle_module=restricted_pickle, weights_only=False)`` uses it. Nothing is imported or called except
what torch's own restricted reader allows. A global of the standard library, of Python's builtins, of torch or numpy
that no checkpoint needs is refused: such a file was made to run code.
"""

from __future__ import annotations

import _compat_pickle
import argparse
import pickle
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from importlib import import_module
from io import SEEK_END
from struct import unpack
from typing import IO, Any, ClassVar, Final, cast

import numpy as np
import torch
from torch._weights_only_unpickler import _get_allowed_globals

_OLD_NAMES: Final[dict[str, str]] = {**_compat_pickle.IMPORT_MAPPING, "exceptions": "builtins"}
"""Python 2 module names and their current names."""
_PLAIN: Final = frozenset(
    f"builtins.{kind.__name__}" for kind in (list, dict, tuple, int, float, str, bytes, bool, frozenset, slice, range)
) | {"builtins.object", "builtins.type"}
"""Builtins that may have stand-ins: types of plain values."""
_STANDARD: Final = ("collections", "copyreg", "datetime", "decimal", "enum", "fractions", "pathlib", "typing", "uuid")
"""Modules of the standard library whose values trainers store next to weights."""
_SINGLE: Final = frozenset({"functools.partial", "types.SimpleNamespace", "types.MappingProxyType", "types.NoneType"})
_PARTS: Final = ("torch.nn.", "torch.optim.", "torch.amp.", "torch.cuda.amp.", "torch.utils.data.", "numpy.random.")
"""Parts of torch and numpy whose objects trainers store."""
_OWN: Final = frozenset({"torch", "numpy", "builtins", "geoseg"})


class RefusedGlobalError(pickle.UnpicklingError):
    """The pickle refers to a global that no checkpoint needs.

    Attributes:
        name: name of the global, with its module.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"would run code ({name})")
        self.name = name


class StandIn(dict[object, object]):
    """Inert replacement of an object of an unknown class: its attributes and items, no code.

    Attributes:
        source: name of the class, with its module.
        parts: constructor arguments and appended items.
    """

    source: str = ""

    def __init__(self, *parts: Any) -> None:
        super().__init__()
        self.parts: list[Any] = list(parts)

    def __hash__(self) -> int:  # type: ignore[override]
        # by identity: it may be a key itself
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def _stand_in(name: str) -> type[StandIn]:
    return type("StandIn", (StandIn,), {"source": name})


def _attribute(owner: object, name: object, *default: object) -> type[StandIn]:
    """Replacement of ``getattr``, by which methods are pickled; returns a stand-in for a stand-in's attribute."""
    del default
    if not (isinstance(owner, type) and issubclass(owner, StandIn)) or not isinstance(name, str):
        raise RefusedGlobalError("builtins.getattr")
    return _stand_in(f"{owner.source}.{name}")


def _reconstructed(owner: object, base: object, state: object) -> StandIn:
    """Replacement of ``copyreg._reconstructor``, by which protocols 0 and 1 make objects."""
    if not (isinstance(owner, type) and issubclass(owner, StandIn)):
        raise RefusedGlobalError("copyreg._reconstructor")
    del base
    return owner(state)


def _harmless() -> dict[str, object]:
    """Return the globals that are safe to use besides torch's, by name: namespaces, arrays and numbers of numpy."""
    kinds = (argparse.Namespace, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"})
    found: dict[str, object] = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in kinds}
    multiarray = import_module("numpy._core.multiarray")  # where numpy keeps how its arrays and scalars are pickled
    for name in ("_reconstruct", "scalar"):
        for package in ("core", "_core"):
            found[f"numpy.{package}.multiarray.{name}"] = getattr(multiarray, name)
    numeric = import_module("numpy._core.numeric")
    found |= dict.fromkeys(
        ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"), vars(numeric)["_frombuffer"]
    )
    return found


_REPLACED: Final[dict[str, Callable[..., object]]] = {
    "builtins.getattr": _attribute,
    "copyreg._reconstructor": _reconstructed,
}


def _known(name: str) -> bool:
    """Return True if a stand-in for this name is allowed."""
    top = name.partition(".")[0]
    if name in _PLAIN or name in _SINGLE or name.startswith(_PARTS):
        return True
    if top in sys.stdlib_module_names:
        return top in _STANDARD
    return top not in _OWN


class _Bounded:
    """Stream that never allocates more than it contains."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        here = stream.tell()
        self._end = stream.seek(0, SEEK_END)
        stream.seek(here)

    def read(self, size: int = -1) -> bytes:
        if size > self._end - self._stream.tell():
            raise EOFError("the pickle ends early")
        return self._stream.read(size)

    def readline(self) -> bytes:
        return self._stream.readline()


_UNUSED: Final = tuple(
    getattr(pickle, name)[0] for name in ("PERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
)


def _refused(unpickler: object) -> None:
    raise pickle.UnpicklingError("an operation that no checkpoint has")


_Base: Any = vars(pickle)["_Unpickler"]  # Python's own in Python, whose operations can be narrowed


class Unpickler(_Base):  # type: ignore[misc]
    """Python's unpickler, restricted to tensors, plain values and stand-ins."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Base.dispatch)
    persistent_load: Callable[[Any], Any]

    def __init__(self, stream: IO[bytes], *, encoding: str = "ASCII", **unused: Any) -> None:
        del unused
        super().__init__(_Bounded(stream), fix_imports=False, encoding=encoding)
        self._stand_ins: dict[str, type[StandIn]] = {}
        self._real = {**_get_allowed_globals(), **_harmless()}
        self._callable = {id(value) for value in (*self._real.values(), *_REPLACED.values())}
        self._types = {value for value in self._real.values() if isinstance(value, type)}

    def find_class(self, module: str, name: str) -> object:
        """Resolve a global: one that torch allows, or a stand-in.

        Raises:
            RefusedGlobalError: the global is neither.
        """
        full = f"{_OLD_NAMES.get(module, module)}.{name}"
        if full in self._real:
            return self._real[full]
        if full in _REPLACED:
            return _REPLACED[full]
        if not _known(full):
            raise RefusedGlobalError(f"{module}.{name}")
        return self._stand_ins.setdefault(full, _stand_in(full))

    def _made(self, function: Any, arguments: Any) -> Any:
        if isinstance(function, type) and issubclass(function, StandIn):
            return function(*arguments)
        if id(function) not in self._callable or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("something is called that cannot be")
        return function(*arguments)

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._made(self.stack[-1], arguments)

    def _new(self) -> None:
        arguments = self.stack.pop()
        self.append(self._new_object(self.stack.pop(), arguments))

    def _new_ex(self) -> None:
        self.stack.pop()
        self._new()

    def _new_object(self, kind: Any, arguments: Any) -> Any:
        if isinstance(kind, type) and issubclass(kind, StandIn):
            return kind(*arguments)
        if kind is torch.nn.Parameter:
            return kind(*arguments)
        if not (isinstance(kind, type) and kind in self._types):
            raise pickle.UnpicklingError("an object of something is made that is no class")
        return kind.__new__(kind, *arguments)

    def _instance(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        self.append(self._made(self.find_class(module, name), tuple(self.pop_mark())))

    def _object(self) -> None:
        kind, *arguments = self.pop_mark()
        self.append(self._made(kind, tuple(arguments)))

    def _build(self) -> None:
        state = self.stack.pop()
        one = self.stack[-1]
        if isinstance(one, StandIn):
            for values in state if isinstance(state, tuple) else (state,):
                if isinstance(values, dict):
                    one.update(values)
                else:
                    one.parts.append(values)
        elif type(one) is torch.Tensor:
            one.set_(*state)
        elif type(one) is OrderedDict or type(one) is argparse.Namespace:
            vars(one).update(state)
        elif type(one) in self._types and hasattr(one, "__setstate__"):
            one.__setstate__(state)
        else:
            raise pickle.UnpicklingError(f"a {type(one).__name__} is given a state")

    def _put(self, kinds: tuple[type, ...], items: list[object]) -> None:
        """Put items into the mapping on top of the stack: keys and values by turns."""
        one = self.stack[-1]
        if type(one) not in kinds and not isinstance(one, StandIn):
            raise pickle.UnpicklingError(f"items are put into a {type(one).__name__}")
        for place in range(0, len(items) - 1, 2):
            one[items[place]] = items[place + 1]

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put((dict, OrderedDict, Counter), [key, value])

    def _set_items(self) -> None:
        self._put((dict, OrderedDict, Counter), self.pop_mark())

    def _extend(self, kind: type, items: list[object]) -> None:
        one = self.stack[-1]
        if isinstance(one, StandIn):
            one.parts.extend(items)
        elif type(one) is not kind:
            raise pickle.UnpicklingError(f"items are added to a {type(one).__name__}")
        elif isinstance(one, set):
            one.update(items)
        else:
            cast("list[Any]", one).extend(items)

    def _append(self) -> None:
        self._extend(list, [self.stack.pop()])

    def _appends(self) -> None:
        self._extend(list, self.pop_mark())

    def _add(self) -> None:
        self._extend(set, self.pop_mark())

    def _persistent(self) -> None:
        stored = self.stack.pop()
        first = stored[0] if isinstance(stored, tuple) and stored else stored
        if first == "module" and len(stored) > 1:  # old torch wrote a class with its source
            self.append(stored[1])
            return
        if first not in ("storage", b"storage") and type(stored) is not int:
            raise pickle.UnpicklingError("something else than a tensor's values is stored outside of the pickle")
        self.append(self.persistent_load(stored))

    def _bytes(self) -> None:
        (size,) = unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    dispatch |= {
        pickle.BYTEARRAY8[0]: _bytes,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_ex,
        pickle.INST[0]: _instance,
        pickle.OBJ[0]: _object,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.ADDITEMS[0]: _add,
        pickle.BINPERSID[0]: _persistent,
        **dict.fromkeys(_UNUSED, _refused),
    }


def load(stream: IO[bytes], **options: Any) -> Any:
    """Read one pickle; part of the interface that torch requires of a pickle module."""
    return Unpickler(stream, **options).load()
