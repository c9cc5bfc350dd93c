"""Augmentations of pixel values: brightness, colour, sharpness, compression, gaps; all from one random generator."""

from __future__ import annotations

import io
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

Unit = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class Augmentation(BaseModel):
    """Strengths of the augmentations; 0 turns one off.

    Attributes:
        brightness: largest shift of all values (values are 0-1).
        contrast: largest relative change of contrast about the chip's mean.
        gamma: standard deviation of the logarithm of the exponent.
        gain: standard deviation of the logarithm of each band's gain (white balance).
        saturation: largest relative change of colourfulness (three bands).
        hue_deg: standard deviation of a hue rotation, degrees (three bands).
        greyscale: share of chips converted to grey.
        blur_px: largest standard deviation of a Gaussian blur, on half of the chips.
        noise: largest standard deviation of Gaussian noise, on a third of the chips.
        jpeg_quality: lowest JPEG quality, on a third of the chips (three bands); 0 for none.
        blank: share of chips with a region of missing pixels.
        collar: share of chips with a region painted plain black or white, as in mosaics that mark no missing pixels;
            its label is the legend's first class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    brightness: Amount = 0.15
    contrast: Unit = 0.35
    gamma: Amount = 0.25
    gain: Amount = 0.08
    saturation: Unit = 0.5
    hue_deg: Amount = 12.0
    greyscale: Unit = 0.03
    blur_px: Amount = 1.2
    noise: Amount = 0.03
    jpeg_quality: Annotated[int, Field(ge=0, le=100)] = 35
    blank: Unit = 0.1
    collar: Unit = 0.0


_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_FROM_YIQ = torch.linalg.inv(_TO_YIQ)


def augment(image: Tensor, amounts: Augmentation, rng: np.random.Generator) -> Tensor:
    """Vary brightness, colour, sharpness and compression.

    Args:
        image: (band, y, x) float32, 0-1.
        amounts: strengths.
        rng: the only source of randomness.

    Returns:
        The same shape, float32 in [0, 1].
    """
    bands = image.shape[0]
    gains = torch.from_numpy(np.exp(rng.normal(0, 1, (bands, 1, 1)) * amounts.gain).astype(np.float32))
    image = image * gains
    if bands == 3:
        image = _colour(image, amounts, rng)
    mean = image.mean()
    contrast = 1 + amounts.contrast * float(rng.uniform(-1, 1))
    image = (image - mean) * contrast + mean + amounts.brightness * float(rng.uniform(-1, 1))
    image = image.clamp(0, 1) ** float(np.exp(rng.normal(0, 1) * amounts.gamma))
    if rng.random() < 0.5 and amounts.blur_px > 0:
        image = _blur(image, float(rng.uniform(0.2, 1)) * amounts.blur_px)
    if rng.random() < 1 / 3 and amounts.noise > 0:
        grain = rng.standard_normal(tuple(image.shape), dtype=np.float32)
        image = image + torch.from_numpy(grain) * float(rng.uniform(0, amounts.noise))
    image = image.clamp(0, 1)
    if bands == 3 and rng.random() < 1 / 3 and amounts.jpeg_quality > 0:
        image = _jpeg(image, int(rng.integers(amounts.jpeg_quality, max(96, amounts.jpeg_quality + 1))))
    return image


def _colour(image: Tensor, amounts: Augmentation, rng: np.random.Generator) -> Tensor:
    turn = np.deg2rad(rng.normal(0, 1) * amounts.hue_deg)
    scale = 0.0 if rng.random() < amounts.greyscale else 1 + amounts.saturation * float(rng.uniform(-1, 1))
    cos, sin = float(np.cos(turn)) * scale, float(np.sin(turn)) * scale
    chroma = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    return torch.einsum("ij,jyx->iyx", _FROM_YIQ @ chroma @ _TO_YIQ, image)


def _blur(image: Tensor, sigma_px: float) -> Tensor:
    radius = max(1, round(2.5 * sigma_px))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(image[:, None], (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None, :])[:, 0]


def _jpeg(image: Tensor, quality: int) -> Tensor:
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(buffer), np.float32) / 255
    return torch.from_numpy(decoded).permute(2, 0, 1).contiguous()


def blanks(shape: tuple[int, int], share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw missing pixels: sometimes a half-plane, as at the edge of a mosaic, or a rectangle, as a lost block.

    Args:
        shape: (rows, columns).
        share: share of chips with any.
        rng: the only source of randomness.

    Returns:
        (y, x) bool, True where the pixel is missing; never all of them.
    """
    missing = np.zeros(shape, bool)
    if rng.random() >= share:
        return missing
    height, width = shape
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:height, :width]
        across = (y / height - 0.5) * np.sin(angle) + (x / width - 0.5) * np.cos(angle)
        return np.asarray(across > rng.uniform(0.0, 0.45))
    rows, cols = int(rng.integers(1, height // 2 + 1)), int(rng.integers(1, width // 2 + 1))
    top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - cols + 1))
    missing[top : top + rows, left : left + cols] = True
    return missing
