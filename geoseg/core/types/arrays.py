"""Types of arrays whose data type is not known before a file is opened."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
"""An array of any data type, such as the pixels of a scene."""

AnyDtype: TypeAlias = np.dtype[Any]
"""Any data type."""

AnyIntegers: TypeAlias = npt.NDArray[np.integer[Any]]
"""An array of integers of any width."""
