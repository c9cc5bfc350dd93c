"""How numba is asked to compile: without the GIL, on first call, cached on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function on its first call; it then runs without the GIL.

    Nothing is compiled at import. Machine code is kept in ``__pycache__`` or in the user's cache; an installation
    where neither can be written compiles anew in each process.
    """
    try:
        return cast("F", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no folder that it may write to
        return cast("F", numba.njit(nogil=True)(function))
