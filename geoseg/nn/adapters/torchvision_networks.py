"""torchvision's segmentation networks (https://docs.pytorch.org/vision/stable/models.html)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models import segmentation

from geoseg.errors import ModelError
from geoseg.nn.adapters.first_layer import widen_first_layer
from geoseg.nn.padding import Padded
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.convolution import resize

ARCHITECTURES = (
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)


class _Torchvision(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        network: Any = self.network
        if getattr(network, "aux_classifier", None) is None:
            logits: Tensor = network(x)["out"]
            return logits
        # its own forward pass would run the second head too
        return resize(network.classifier(network.backbone(x)["out"]), x)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        answers: dict[str, Tensor] = self.network(x)
        auxiliary = (Auxiliary(answers["aux"], 0.5),) if "aux" in answers else ()
        return answers["out"], auxiliary


def build(in_channels: int, classes: int, *, architecture: str, auxiliary: bool = True) -> Padded:
    """Build a network of torchvision with random weights.

    Args:
        in_channels: input bands.
        classes: output channels.
        architecture: one of ``ARCHITECTURES``.
        auxiliary: its second head, for training, where it has one; its loss weighs 0.5, as in torchvision's recipe.

    Raises:
        ModelError: no such architecture.
    """
    if architecture not in ARCHITECTURES:
        raise ModelError(f"torchvision has no network {architecture!r} here; known: {', '.join(ARCHITECTURES)}")
    options: dict[str, Any] = {} if architecture.startswith("lraspp") else {"aux_loss": auxiliary}
    network = getattr(segmentation, architecture)(weights=None, weights_backbone=None, num_classes=classes, **options)
    widen_first_layer(network, in_channels)
    return Padded(_Torchvision(network), stride=1)
