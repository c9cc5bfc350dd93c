"""One part of a configuration of mmsegmentation, whose keys are taken one by one; what nobody takes is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from geoseg.errors import ModelError
from geoseg.nn.checkpoints.mmseg.config import kind

_UNUSED = (
    *("type", "pretrained", "init_cfg", "norm_eval", "frozen_stages", "with_cp", "zero_init_residual", "in_channels"),
    *("base_channels", "channels", "num_classes", "out_channels", "threshold", "dropout_ratio", "loss_decode"),
    *("ignore_index", "sampler", "in_index", "num_stages", "out_indices", "style", "drop_rate", "drop_path_rate"),
    *("attn_drop_rate", "frozen_exclude"),
)
"""Keys that only concern training, or whose effect the tensors already show."""
_BATCH_NORMS = ("BN", "BN2d", "SyncBN", "MMSyncBN")


class ConfigPart:
    """One mapping of a configuration, whose keys are taken one by one."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = values
        self.taken = set(_UNUSED)

    def take(self, key: str, *, default: Any) -> Any:
        """Take a key; lists become tuples."""
        self.taken.add(key)
        value = self.values.get(key, default)
        return tuple(value) if isinstance(value, list) else value

    def only(self, key: str, known: Sequence[object], default: object = None) -> None:
        """Take a key that must have one of some values."""
        value = self.take(key, default=known[0] if default is None else default)
        plain = value.rpartition(".")[2] if key == "type" and isinstance(value, str) else value
        if plain not in known:
            self.refuse(key, value)

    def refuse(self, key: str, value: Any) -> None:
        """Refuse a value by name.

        Raises:
            ModelError: always.
        """
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:77]}..."
        raise ModelError(f"its configuration says {self.path}.{key}={text}, which no network here does")

    def refuse_rest(self) -> None:
        """Refuse the first key that nobody has taken and that says something."""
        for key in sorted(self.values.keys() - self.taken):
            value = self.values[key]
            if any(value) if isinstance(value, (list, tuple)) else value:
                self.refuse(key, value)

    def part(self, key: str) -> ConfigPart:
        """Return a part inside this one; an empty one if it is not written."""
        value = self.values.get(key)
        if not isinstance(value, Mapping | None):
            self.refuse(key, value)
        return ConfigPart(f"{self.path}.{key}", value or {})

    def parts(self, key: str) -> list[ConfigPart]:
        """Return the parts of a list, or the one that stands in its place."""
        value = self.values.get(key)
        found = list(value) if isinstance(value, (list, tuple)) else [value]
        if not found or not all(isinstance(one, Mapping) for one in found):
            self.refuse(key, value)
        return [ConfigPart(f"{self.path}.{key}", one) for one in found if isinstance(one, Mapping)]

    def rates(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        """Take whole numbers above 0."""
        value = self.take(key, default=default)
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or not all(isinstance(number, int) and number > 0 for number in numbers):
            self.refuse(key, value)
        return tuple(numbers)

    def layers(self, activation: str = "ReLU") -> None:
        """Take what layers are made of: plain convolutions, batch norms and activations as everywhere here."""
        for key, known in (("conv_cfg", ("Conv2d", "Conv")), ("act_cfg", (activation,))):
            value = self.take(key, default=None)
            if value is not None and not (isinstance(value, Mapping) and kind(value) in known):
                self.refuse(key, value)

    def norm(self, key: str, kinds: Sequence[str] = _BATCH_NORMS, usual: float = 1e-5, eps: float = 1e-5) -> None:
        """Take a norm, whose epsilon the tensors do not hold; ``usual`` is the one that is not written."""
        value = self.take(key, default=None)
        written = value if isinstance(value, Mapping) else {}
        known = value is None or (isinstance(value, Mapping) and kind(value) in kinds)
        if not known or written.get("eps", usual) != eps:
            self.refuse(key, value)
