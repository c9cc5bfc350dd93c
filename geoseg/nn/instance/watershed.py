"""Watershed U-Net: classes of pixels, and how deep in its object each pixel lies; basins of the depth are objects.

Source: Bai, Urtasun 2017, Deep Watershed Transform for Instance Segmentation, https://arxiv.org/abs/1611.08303. There
an energy of few levels is cut at one of them. Here the depth is a distance to the object's edge, as Naylor et al. 2018
regress it (https://doi.org/10.1109/TMI.2018.2865709), divided by the largest of its object, and basins are joined over
passes that are nearly as high as the lower of their tops (Grimaud 1992, dynamics).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.instance.basins import between_objects, filled, object_basins, on_pixels
from geoseg.nn.instance.contract import NUMBERS, Detections, InstanceNetwork, Losses, Target, grow_masks, stack
from geoseg.nn.padding import mirror
from geoseg.nn.timm_unet import TimmUNetBody, unet_encoder

_IGNORED = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class WatershedRules:
    """Rules and weights.

    Attributes:
        neck: two basins are one object where the pass between them is at least this share of the lower top.
        least_px: smaller basins join a neighbour, smaller objects are left out, pixels.
        max_objects: most objects of an image; the best ones stay.
        fill_px: pixels that see two objects within this distance along rows and columns go to one of them, since what
            is taught leaves a gap there.
        fill_from: least probability of the classes of objects, together, of these pixels.
        contact_px: pixels that see two objects within this distance along rows and columns are taught as background.
        contact_weight: added weight of the cross-entropy of these pixels.
        overlap_weight: weight of the soft Jaccard loss of the classes of objects.
        depth_weight: weight of the squared error of the depth.
    """

    neck: float = 0.6
    least_px: int = 32
    max_objects: int = 1000
    fill_px: int = 8
    fill_from: float = 0.1
    contact_px: int = 3
    contact_weight: float = 3.0
    overlap_weight: float = 0.75
    depth_weight: float = 5.0


class WatershedBody(TimmUNetBody):
    """U-Net with a second head, for the depth, on the finest features of its decoder.

    Args:
        encoder: with the channels and strides of its feature maps, as of ``unet_encoder``.
        widths: channels of the decoder.
        classes: all classes.
    """

    def __init__(self, encoder: tuple[nn.Module, list[int], list[int]], widths: Sequence[int], classes: int) -> None:
        super().__init__(*encoder, widths, classes)
        width, last = widths[-1], nn.Conv2d(widths[-1], 1, 1)
        self.depth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            last,
        )
        nn.init.normal_(last.weight, std=0.01)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override] # two maps
        """Map (B, C, H, W) to logits (B, classes, H, W), and to the depth at the stride ``finest``."""
        height, width = x.shape[-2:]
        features = self.features(mirror(x, (0, -height % self.stride), (0, -width % self.stride)))
        return self.classify(features)[..., :height, :width], self.depth(features)


class WatershedNetwork(InstanceNetwork):
    """Instance network of class maps and depths.

    Attributes:
        body: its convolutions, tensor to tensors; what a runtime exports.
        rules: rules and weights; may be replaced.
        stride: pixels of the image a cell of the coarsest features.
        finest: pixels of the image a cell of the depth.
    """

    disjoint = True
    rules: WatershedRules

    def __init__(self, body: WatershedBody, classes: int) -> None:
        super().__init__()
        self.body = body
        self.classes, self.stride, self.finest = classes, body.stride, body.finest
        self.rules = WatershedRules()

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, objects otherwise; see ``geoseg.nn.instance.contract``."""
        batch, sizes = stack(images)
        size = (batch.shape[-2], batch.shape[-1])
        if self.training and targets is not None:
            return self._losses(self.body(batch), grow_masks(targets, size), sizes)
        return self.decode(self.body(batch), size, sizes)

    @property
    def encoder(self) -> nn.Module:
        """The encoder of the U-Net."""
        encoder: nn.Module = self.body.encoder
        return encoder

    def nominal_pass(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run what an image costs, whatever is on it."""
        return tuple(self.body(x))

    def decode(
        self, raw: Sequence[Tensor], size: tuple[int, int], sizes: Sequence[tuple[int, int]] | None = None
    ) -> list[Detections]:
        """Turn the body's outputs into objects.

        Args:
            raw: logits and depths, from the body or from its export.
            size: rows and columns of the batch.
            sizes: of its images, where they are smaller.
        """
        logits, depth = (tensor.float() for tensor in raw)
        probs = logits.softmax(1)
        best, top = probs.max(1)
        planes = [each.cpu().numpy() for each in (best, top, probs[:, 0] <= 1 - self.rules.fill_from, depth[:, 0])]

        def one(index: int, own: tuple[int, int]) -> Detections:
            best, top, likely, height = (plane[index] for plane in planes)
            rows, cols = own
            return self._decode_one(best[:rows, :cols], top[:rows, :cols], likely[:rows, :cols], height, logits.device)

        shapes = sizes or [size] * len(logits)
        with ThreadPoolExecutor(max(1, min(len(shapes), torch.get_num_threads()))) as pool:  # numpy lets others run
            return list(pool.map(one, range(len(shapes)), shapes))

    def _decode_one(
        self,
        probability: npt.NDArray[np.float32],
        kind: npt.NDArray[np.int64],
        likely: npt.NDArray[np.bool_],
        height: npt.NDArray[np.float32],
        device: torch.device,
    ) -> Detections:
        numbers = np.zeros(kind.shape, np.int32)
        labels: list[int] = []
        scores: list[float] = []
        for label in range(1, self.classes):
            mask = kind == label
            cells, count, tops = object_basins(
                mask, height, self.finest, neck=self.rules.neck, least_px=self.rules.least_px
            )
            cells[cells > 0] += len(labels)
            own = np.where(mask, on_pixels(cells, self.finest, mask.shape), 0)
            number = own[mask]
            total, pixels = np.bincount(number, probability[mask], 1), np.bincount(number, minlength=1)
            sure = total[len(labels) + 1 :] / pixels[len(labels) + 1 :]
            gap = on_pixels(between_objects(cells, -(-self.rules.fill_px // self.finest)), self.finest, mask.shape)
            own = filled(own, gap & likely & (mask | (kind == 0)), self.rules.fill_px)
            numbers = np.where(numbers > 0, numbers, own)
            labels += [label] * count
            scores += [float(mean * min(1.0, max(0.0, high))) for mean, high in zip(sure, tops, strict=True)]
        order = np.argsort(-np.asarray(scores), kind="stable")[: self.rules.max_objects]
        return _detections(numbers, np.asarray(labels, np.int64), np.asarray(scores, np.float32), order, device)

    def _losses(
        self, raw: tuple[Tensor, Tensor], targets: Sequence[Target], sizes: Sequence[tuple[int, int]]
    ) -> Losses:
        logits, depth = raw[0].float(), raw[1].float()
        aims = [
            aims_of(target, (logits.shape[-2], logits.shape[-1]), own, self.rules.contact_px)
            for target, own in zip(targets, sizes, strict=True)
        ]
        kinds, contacts, depths = (
            torch.from_numpy(np.stack(parts)).to(logits.device) for parts in zip(*aims, strict=True)
        )
        known = kinds != _IGNORED
        each = functional.cross_entropy(logits, kinds, ignore_index=_IGNORED, reduction="none")
        weight = 1 + self.rules.contact_weight * contacts
        full = functional.interpolate(depth, kinds.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        squared = (full - depths).square() * known
        return {
            "classes": (each * weight).sum() / known.sum().clamp(min=1),
            "overlap": self.rules.overlap_weight * _soft_jaccard(logits.softmax(1), kinds, known),
            "depth": self.rules.depth_weight * squared.sum() / known.sum().clamp(min=1),
        }


def _soft_jaccard(probs: Tensor, kinds: Tensor, known: Tensor) -> Tensor:
    """One minus the mean soft intersection over union of the classes of objects that occur in a batch."""
    missed = []
    for label in range(1, probs.shape[1]):
        truth = (kinds == label) & known
        if bool(truth.any()):
            found = probs[:, label] * known
            shared = (found * truth).sum()
            missed.append(1 - shared / (found.sum() + truth.sum() - shared))
    return torch.stack(missed).mean() if missed else probs.sum() * 0


def aims_of(
    target: Target, size: tuple[int, int], own: tuple[int, int], contact_px: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Make what one image teaches: classes, pixels between objects, and depths, each (rows, cols)."""
    masks, labels = target["masks"].cpu().numpy().astype(bool), target["labels"].cpu().numpy()
    crowd = target["iscrowd"].cpu().numpy().astype(bool) if "iscrowd" in target else np.zeros(len(labels), bool)
    numbers = np.zeros(size, np.int32)
    kinds = np.zeros(size, np.int64)
    for number, mask in enumerate(masks, start=1):
        if not crowd[number - 1]:
            numbers[mask] = number
    kinds[numbers > 0] = labels[numbers[numbers > 0] - 1]
    contact = between_objects(numbers, contact_px)
    kinds[contact] = 0
    depth = np.zeros(size, np.float32)
    for number, box in enumerate(ndimage.find_objects(np.where(contact, 0, numbers)), start=1):
        if box is not None:
            # one pixel around, so that an object ends there; beyond the image it goes on
            around = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
            inside = (numbers[around] == number) & ~contact[around]
            if inside.all():
                depth[around] = 1
                continue
            away = ndimage.distance_transform_edt(inside)
            depth[around] = np.where(inside, away / away.max(), depth[around])
    for mask in masks[crowd]:
        kinds[mask & (numbers == 0)] = _IGNORED
    kinds[own[0] :], kinds[:, own[1] :] = _IGNORED, _IGNORED
    return kinds, contact.astype(np.float32), depth


def _detections(
    objects: npt.NDArray[np.int32],
    labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    order: npt.NDArray[np.intp],
    device: torch.device,
) -> Detections:
    """Put the chosen objects of a raster of numbers, counted from 1, into the form of detections."""
    number = np.zeros(len(labels) + 1, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    places = ndimage.find_objects(objects, len(labels))
    boxes = [(cols.start, rows.start, cols.stop, rows.stop) for rows, cols in (places[index] for index in order)]
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32, device=device).reshape(-1, 4),
        "labels": torch.from_numpy(labels[order]).to(device),
        "scores": torch.from_numpy(scores[order]).to(device),
        NUMBERS: torch.from_numpy(number[objects]).to(device),
    }


def build(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "mobilenetv2_100",
    widths: Sequence[int] = (128, 64, 48, 32),
) -> WatershedNetwork:
    """Build a watershed U-Net with random weights.

    Args:
        in_channels: input bands.
        classes: all classes, with the background, at least 2.
        encoder: a timm model that gives feature maps.
        widths: channels of the decoder from the coarsest join to the finest.

    Raises:
        ModelError: no such encoder.
    """
    return WatershedNetwork(WatershedBody(unet_encoder(in_channels, encoder, widths), widths, classes), classes)
