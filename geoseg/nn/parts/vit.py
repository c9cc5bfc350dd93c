"""Vision transformers from timm that return feature maps of several depths, for any multiple of the patch.

Source: Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from geoseg.errors import ModelError

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTForm:
    """Properties of a vision transformer that its weights do not determine.

    Attributes:
        depths: shares of the blocks after which the maps are taken, rounded down to whole blocks, rising, the last 1.
        class_token: whether the class token goes through the blocks with the patches. mmsegmentation's SETR-MLA
            leaves it out, though its weights hold it.
        interpolation: how positions are resized to other tiles.
    """

    depths: Sequence[float]
    class_token: bool = True
    interpolation: Interpolation = "bilinear"


class ViT(nn.Module):
    """The blocks of a timm ViT without its last norm; positions are resized from those it was made for.

    Inputs are extended by zeros to a multiple of the patch, as in mmsegmentation.

    Attributes:
        width: channels of each map.
        patch_px: side of a patch.
    """

    def __init__(self, name: str, in_channels: int, image_px: int, form: ViTForm) -> None:
        """Make the transformer.

        Args:
            name: a timm ViT with a class token.
            in_channels: input bands.
            image_px: side of the tiles that it has positions for.
            form: what the weights do not tell.

        Raises:
            ModelError: timm has no such ViT, or the form is none.
        """
        super().__init__()
        if form.interpolation not in get_args(Interpolation):
            raise ModelError(f"positions are resized bilinear or bicubic, not {form.interpolation!r}")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*no-op.*")
                vit = timm.create_model(name, img_size=image_px, in_chans=in_channels, num_classes=0)
        except (RuntimeError, TypeError) as error:
            raise ModelError(f"timm's {name!r} cannot be a backbone here: {error}") from error
        if getattr(vit, "cls_token", None) is None or not hasattr(vit, "blocks"):
            raise ModelError(f"timm's {name!r} cannot be a backbone here: choose a ViT with a class token")
        self.patches = vit.patch_embed.proj
        self.patches.register_parameter("bias", None)  # mmsegmentation's has none; positions can hold it
        self.has_class_token = form.class_token
        self.interpolation = form.interpolation
        if form.class_token:
            self.class_token = vit.cls_token
        else:  # in published weights, but nothing to be trained
            self.register_buffer("class_token", vit.cls_token.detach())
        self.positions = vit.pos_embed
        self.blocks = vit.blocks
        self.width: int = vit.embed_dim
        self.patch_px: int = self.patches.kernel_size[0]
        self.ends = {int(depth * len(self.blocks) + 1e-6) - 1 for depth in form.depths}
        self.grad_checkpointing = False
        if len(self.ends) != len(form.depths) or max(self.ends, default=0) != len(self.blocks) - 1:
            raise ModelError(f"timm's {name!r} of {len(self.blocks)} blocks has no maps at the depths {form.depths}")

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep the input of each block only, in training, and compute the rest again."""
        self.grad_checkpointing = enable

    def _positions(self, rows: int, cols: int) -> Tensor:
        positions: Tensor = self.positions
        first, grid = positions[:, :1], positions[:, 1:]
        side = int(grid.shape[1] ** 0.5)
        if (rows, cols) == (side, side):
            return positions
        grid = grid.transpose(1, 2).reshape(1, -1, side, side)
        grid = functional.interpolate(grid, size=(rows, cols), mode=self.interpolation, align_corners=False)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to maps (B, width, H / patch_px, W / patch_px), rounded up, shallowest first."""
        rows, cols = x.shape[-2:]
        x = self.patches(functional.pad(x, (0, -cols % self.patch_px, 0, -rows % self.patch_px)))
        rows, cols = x.shape[-2:]
        tokens, positions = x.flatten(2).transpose(1, 2), self._positions(rows, cols)
        if self.has_class_token:
            tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), tokens], dim=1) + positions
        else:
            tokens = tokens + positions[:, 1:]
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            again = self.grad_checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if again else block(tokens)
            if index in self.ends:
                maps.append(tokens[:, -rows * cols :].transpose(1, 2).reshape(x.shape[0], -1, rows, cols))
        return maps


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
