"""Networks of segmentation-models-pytorch (https://smp.readthedocs.io), not always the papers' of their names.

For example, its PSPNet uses half of its encoder, and its DeepLabV3+ has separable pyramids of other rates.
"""

from __future__ import annotations

import inspect
from typing import Any

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded

ARCHITECTURES = (
    "DeepLabV3",
    "DeepLabV3Plus",
    "FPN",
    "Linknet",
    "MAnet",
    "PAN",
    "PSPNet",
    "Segformer",
    "UPerNet",
    "Unet",
    "UnetPlusPlus",
)
_OURS = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params", "self", "kwargs"}
_STRIDE = 32


def build(in_channels: int, classes: int, *, architecture: str, encoder: str = "resnet34", **options: Any) -> Padded:
    """Build a network of segmentation-models-pytorch with random weights.

    Args:
        in_channels: input bands.
        classes: output channels.
        architecture: one of ``ARCHITECTURES``.
        encoder: its encoder's name; ``tu-NAME`` takes timm's.
        options: the architecture's own, as the library names them.

    Raises:
        ModelError: the library is not installed, or has no such architecture, encoder or option.
    """
    try:
        import segmentation_models_pytorch as smp  # noqa: PLC0415 - an extra, needed by these networks only
    except ImportError as error:
        raise ModelError("networks smp_* need segmentation-models-pytorch: pip install 'geoseg[smp]'") from error
    if architecture not in ARCHITECTURES:
        raise ModelError(f"smp has no network {architecture!r} here; known: {', '.join(ARCHITECTURES)}")
    builder = getattr(smp, architecture)
    known = set(inspect.signature(builder.__init__).parameters) - _OURS
    if unknown := set(options) - known:
        raise ModelError(
            f"smp's {architecture} has no option {', '.join(sorted(unknown))}; "
            f"its options are {', '.join(sorted(known))}"
        )
    try:
        body = builder(encoder, encoder_weights=None, in_channels=in_channels, classes=classes, **options)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(f"smp's {architecture} cannot be built on {encoder!r}: {error}") from error
    return Padded(body, stride=_STRIDE)
