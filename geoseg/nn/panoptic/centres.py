"""Panoptic segmentation from below: class maps, centres of things, and from each pixel the way to its centre.

Source: Cheng et al. 2020, Panoptic-DeepLab, https://arxiv.org/abs/1911.10194. Here the features are those of a U-Net,
and each class of things has a map of centres of its own, so that a car below a tree does not attract its leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.instance.contract import Detections, Losses, Target, grow_masks, stack
from geoseg.nn.padding import mirror
from geoseg.nn.panoptic.contract import IGNORED, SEMANTIC, PanopticNetwork, checked_things, semantic_targets
from geoseg.nn.timm_unet import TimmUNetBody, unet_encoder

OFFSET_PX = 16.0
"""Pixels that an offset of 1 means."""

_CHUNK = 1 << 14
"""Pixels that look for their centres at a time."""

_SAMPLES = 17
"""Places on the line between two centres where the map of centres is looked up."""

_PEAKS = 2
"""Peaks of a class, for each of the most things, that are looked at before peaks of one thing are joined."""

_LONE = 0.5
"""Factor for the score of things without a centre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreRules:
    """Rules and weights; the weights of the losses are the paper's.

    Attributes:
        sigma_px: standard deviation of the bump that a centre is taught as.
        apart_px: of two centres so near along rows and columns, the lower one is none.
        least: value from which a peak is a centre.
        neck: two centres in one region of a class are one where the map of centres, on the straight line between
            them, stays above this share of the lower one; above 1 all are kept apart.
        least_px: smaller things are left out, pixels.
        max_objects: most things of a class; the best ones stay.
        hard_share: share of the pixels, those that are worst, that teach the class maps.
        centre_weight: weight of the squared error of the maps of centres.
        offset_weight: weight of the absolute error of offsets, of pixels.
    """

    sigma_px: float = 6.0
    apart_px: int = 7
    least: float = 0.1
    neck: float = 0.6
    least_px: int = 8
    max_objects: int = 300
    hard_share: float = 0.2
    centre_weight: float = 200.0
    offset_weight: float = 0.01


class CentreBody(TimmUNetBody):
    """U-Net with a second head, for centres and offsets, on the finest features of its decoder.

    Args:
        encoder: with the channels and strides of its feature maps, as of ``unet_encoder``.
        widths: channels of the decoder.
        classes: all classes.
        things: classes of things.
    """

    def __init__(
        self, encoder: tuple[nn.Module, list[int], list[int]], widths: Sequence[int], classes: int, things: int
    ) -> None:
        super().__init__(*encoder, widths, classes)
        width, last = widths[-1], nn.Conv2d(2 * widths[-1], things + 2, 1)
        self.things = nn.Sequential(
            nn.Conv2d(width, 2 * width, 5, padding=2, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            last,
        )
        nn.init.normal_(last.weight, std=0.01)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override] # three maps
        """Map (B, C, H, W) to logits (B, classes, H, W), and to centres and offsets at the stride ``finest``."""
        height, width = x.shape[-2:]
        features = self.features(mirror(x, (0, -height % self.stride), (0, -width % self.stride)))
        answer = self.things(features)
        return self.classify(features)[..., :height, :width], answer[:, :-2], answer[:, -2:]


class CentreNetwork(PanopticNetwork):
    """Panoptic network of class maps, centres and offsets.

    Attributes:
        body: its convolutions, tensor to tensors; what a runtime exports.
        rules: rules and weights; may be replaced.
        stride: pixels of the image a cell of the coarsest features.
        finest: pixels of the image a cell of the maps of centres.
    """

    rules: CentreRules

    def __init__(self, body: CentreBody, things: tuple[int, ...]) -> None:
        super().__init__()
        self.body = body
        self.things, self.stride, self.finest = things, body.stride, body.finest
        self.rules = CentreRules()

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Losses | list[Detections]:
        """Losses in training with targets, things and class maps otherwise; see ``geoseg.nn.panoptic.contract``."""
        batch, sizes = stack(images)
        size = (batch.shape[-2], batch.shape[-1])
        if self.training and targets is not None:
            return self._losses(self.body(batch), grow_masks(targets, size), semantic_targets(targets, size))
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
        """Turn the body's outputs into things and class maps.

        Args:
            raw: logits, centres and offsets, from the body or from its export.
            size: rows and columns of the batch.
            sizes: of its images, where they are smaller.
        """
        logits, centres, offsets = (tensor.float() for tensor in raw)
        full = functional.interpolate(offsets, size, mode="bilinear", align_corners=False) * OFFSET_PX
        return [
            self._decode_one((logits[i], centres[i], full[i]), own)
            for i, own in enumerate(sizes or [size] * len(logits))
        ]

    def _decode_one(self, raw: tuple[Tensor, Tensor, Tensor], own: tuple[int, int]) -> Detections:
        logits, centres, offsets = raw
        logits, offsets = logits[:, : own[0], : own[1]], offsets[:, : own[0], : own[1]]
        probs = logits.softmax(0)
        best, top = probs.max(0)
        found: list[tuple[int, Tensor, Tensor]] = []
        for label, channel in enumerate(self.things, start=1):
            here = top == channel
            if bool(here.any()):
                found += [(label, mask, score) for mask, score in self._things(here, centres[label - 1], offsets, best)]
        found.sort(key=lambda one: -float(one[2]))
        masks = torch.stack([mask for _, mask, _ in found]) if found else logits.new_zeros((0, *own))
        return {
            "boxes": _boxes(masks),
            "labels": torch.tensor([label for label, _, _ in found], dtype=torch.int64, device=logits.device),
            "scores": torch.stack([score for _, _, score in found]) if found else logits.new_zeros(0),
            "masks": masks.float(),
            SEMANTIC: logits,
        }

    def _things(self, here: Tensor, centres: Tensor, offsets: Tensor, best: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Part the pixels of a class into things: mask and score of each.

        The pixels of a connected region go to its centres; a region without one is a thing.
        """
        rows, cols = torch.nonzero(here, as_tuple=True)
        regions, count = ndimage.label(here.cpu().numpy())
        region = torch.from_numpy(regions).to(here.device).long() - 1
        y, x, value = self._peaks(centres, (here.shape[0], here.shape[1]))
        of = region[y.round().long().clamp(max=here.shape[0] - 1), x.round().long().clamp(max=here.shape[1] - 1)]
        y, x, value, of = (each[of >= 0][: _PEAKS * self.rules.max_objects] for each in (y, x, value, of))
        one = self._joined(centres, (y, x, value), of)
        alone = torch.ones(count, dtype=torch.bool, device=here.device)
        alone[of] = False
        mine = region[rows, cols]
        owner = len(value) + mine
        led = torch.nonzero(~alone[mine])[:, 0]
        if len(led):
            aim = torch.stack([rows + offsets[0, rows, cols], cols + offsets[1, rows, cols]], dim=1)[led]
            owner[led] = one[_nearest(aim, torch.stack([y, x], dim=1), (mine[led], of))]
        factor = torch.cat([value.clamp(0, 1).to(best.dtype), best.new_full((count,), _LONE)])
        pixels = torch.bincount(owner, minlength=len(factor))
        sure = torch.zeros_like(factor).index_add_(0, owner, best[rows, cols]) / pixels.clamp(min=1)
        score = sure * factor
        large = torch.nonzero(pixels >= self.rules.least_px)[:, 0]
        best_first = large[score[large].argsort(descending=True, stable=True)][: self.rules.max_objects]
        things = []
        for index in best_first.tolist():
            mask = torch.zeros_like(here)
            chosen = owner == index
            mask[rows[chosen], cols[chosen]] = True
            things.append((mask, score[index]))
        return things

    def _peaks(self, centres: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Find centres inside the image, the highest first: rows and columns in its pixels, and values."""
        reach = self.rules.apart_px
        highest = functional.max_pool2d(centres[None, None], reach, 1, reach // 2)[0, 0]
        rows, cols = torch.nonzero((centres == highest) & (centres >= self.rules.least), as_tuple=True)
        value = centres[rows, cols]
        order = value.argsort(descending=True, stable=True)
        finest = self.finest
        y, x = ((places[order].float() + 0.5) * finest - 0.5 for places in (rows, cols))
        inside = (y < size[0]) & (x < size[1])
        return y[inside], x[inside], value[order][inside]

    def _joined(self, centres: Tensor, peaks: tuple[Tensor, Tensor, Tensor], of: Tensor) -> Tensor:
        """Return for each peak the index of the highest one that it is one centre with; peaks come highest first.

        Over the highest pass first: two groups are one where it is not far below the top of the lower one.
        """
        y, x, value = peaks
        first, second = torch.nonzero((of[:, None] == of[None]).triu(1), as_tuple=True)
        way = torch.linspace(0, 1, _SAMPLES, device=y.device)[:, None]
        rows, cols = (((1 - way) * each[first] + way * each[second] + 0.5) / self.finest - 0.5 for each in (y, x))
        pass_ = _sampled(centres, rows, cols).amin(0)
        pairs = torch.nonzero(pass_ >= self.rules.neck * torch.minimum(value[first], value[second]))[:, 0]
        pairs = pairs[pass_[pairs].argsort(descending=True, stable=True)]
        heights, tops = (each.tolist() for each in (pass_[pairs], value))
        highest = list(range(len(tops)))  # the lower the index, the higher the peak
        for a, b, height in zip(first[pairs].tolist(), second[pairs].tolist(), heights, strict=True):
            one, other = sorted((highest[a], highest[b]))
            if one != other and height >= self.rules.neck * tops[other]:
                highest = [one if top == other else top for top in highest]
        return torch.tensor(highest, dtype=torch.int64, device=of.device)

    def _losses(self, raw: tuple[Tensor, Tensor, Tensor], targets: Sequence[Target], semantic: Tensor) -> Losses:
        logits, centres, offsets = raw
        rules, finest = self.rules, self.finest
        size = (centres.shape[-2], centres.shape[-1])
        aims = [_aims(target, centres.shape[1], size, finest, rules.sigma_px) for target in targets]
        heat, way, inside, known = (torch.stack(parts) for parts in zip(*aims, strict=True))
        squared = (centres.float() - heat).square() * known[:, None]
        away = (offsets.float() * OFFSET_PX - way).abs().sum(1) * inside
        each = functional.cross_entropy(logits.float(), semantic, ignore_index=IGNORED, reduction="none").flatten()
        each = each[semantic.flatten() != IGNORED]
        hard = each.topk(max(1, round(len(each) * rules.hard_share))).values if len(each) else each
        return {
            "semantic": hard.sum() / max(1, len(hard)),
            "centres": rules.centre_weight * squared.sum() / (known.sum() * centres.shape[1]).clamp(min=1),
            "offsets": rules.offset_weight * away.sum() / inside.sum().clamp(min=1),
        }


def _sampled(plane: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Return the values of a plane (rows, cols) at fractional cells, bilinear."""
    top, left = (each.floor().clamp(0, n - 1) for each, n in zip((rows, cols), plane.shape, strict=True))
    down, right = (rows - top).clamp(0, 1), (cols - left).clamp(0, 1)
    top, left = top.long(), left.long()
    below, beside = (top + 1).clamp(max=plane.shape[0] - 1), (left + 1).clamp(max=plane.shape[1] - 1)
    upper = plane[top, left] * (1 - right) + plane[top, beside] * right
    lower = plane[below, left] * (1 - right) + plane[below, beside] * right
    return upper * (1 - down) + lower * down


def _aims(
    target: Target, things: int, size: tuple[int, int], finest: int, sigma_px: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make what one image teaches, at the resolution of the maps of centres.

    Returns:
        Bumps at the centres (things, rows, cols); offsets (2, rows, cols) in pixels of the image; and (rows, cols)
        where offsets and where centres are known.
    """
    masks, labels = target["masks"], target["labels"]
    crowd = target.get("iscrowd", torch.zeros_like(labels)).bool()
    device = masks.device
    rows, cols = ((torch.arange(n, device=device) + 0.5) * finest - 0.5 for n in size)
    heat = torch.zeros(things, *size, device=device)
    way = torch.zeros(2, *size, device=device)
    inside, known = (torch.full(size, float(value), device=device) for value in (0, 1))
    full = functional.pad(masks, (0, size[1] * finest - masks.shape[-1], 0, size[0] * finest - masks.shape[-2]))
    small = full[:, finest // 2 :: finest, finest // 2 :: finest].bool()
    for mask, part, label, is_crowd in zip(masks, small, labels.tolist(), crowd.tolist(), strict=True):
        if is_crowd:
            known = torch.where(part, 0.0, known)
            continue
        where = torch.nonzero(mask)
        y, x = where.float().mean(0)
        bump = torch.exp(-((rows - y).square()[:, None] + (cols - x).square()[None]) / (2 * sigma_px**2))
        heat[label - 1] = torch.maximum(heat[label - 1], bump)
        away = torch.stack([(y - rows)[:, None].expand(size), (x - cols)[None].expand(size)])
        way = torch.where(part, away, way)
        inside = torch.where(part, 1.0, inside)
    return heat, way, inside, known


def _nearest(aim: Tensor, places: Tensor, regions: tuple[Tensor, Tensor]) -> Tensor:
    """Return the index of the nearest centre of the own region for each pixel."""
    mine, of = regions
    found = []
    for points, own in zip(torch.split(aim, _CHUNK), torch.split(mine, _CHUNK), strict=True):
        away = torch.cdist(points, places)
        found.append(away.masked_fill(own[:, None] != of[None], torch.inf).argmin(1))
    return torch.cat(found)


def _boxes(masks: Tensor) -> Tensor:
    """Outer edges of masks, (n, 4) x0, y0, x1, y1."""
    boxes = masks.new_zeros((len(masks), 4), dtype=torch.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, cols = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
        box[:] = torch.stack([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1])
    return boxes


def build(
    in_channels: int,
    classes: int,
    *,
    things: Sequence[int] = (),
    encoder: str = "mobilenetv2_100",
    widths: Sequence[int] = (128, 64, 48, 32),
) -> CentreNetwork:
    """Build a panoptic U-Net with random weights.

    Args:
        in_channels: input bands.
        classes: all classes, of stuff and things, at least 2.
        things: indices of the classes of things; all but the first unless given.
        encoder: a timm model that gives feature maps.
        widths: channels of the decoder from the coarsest join to the finest.

    Raises:
        ModelError: no such encoder, or options that do not go together.
    """
    chosen = checked_things("panoptic_unet", classes, things)
    body = CentreBody(unet_encoder(in_channels, encoder, widths), widths, classes, len(chosen))
    return CentreNetwork(body, chosen)
