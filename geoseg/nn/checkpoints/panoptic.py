"""Layouts of the published weights of Panoptic FPN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from geoseg.nn.checkpoints.instance import DETECTRON2, MMDETECTION
from geoseg.nn.checkpoints.layout import Kinds, Layout, Rename

_INTO: Rename = (r"^(?!semantic\.)", "regions.network.")
_NAMES = ("panoptic_fpn_r50", "panoptic_fpn_r101")


def _with_stuff(scores: str, stuff: str) -> Kinds:
    """Count things, the background of the boxes left out, and stuff, the class that stands for all things left out.

    Things come first, as in the sources' numbers of classes.
    """

    def count(tensors: Mapping[str, Tensor]) -> tuple[int, dict[str, Any]]:
        things = tensors[scores].shape[0] - 1
        kinds = tensors[stuff].shape[0] - 1 if stuff in tensors and tensors[stuff].ndim else 0
        return things + kinds, {"things": list(range(things))}

    return count


_DETECTRON2_HEAD: tuple[Rename, ...] = (
    (r"^sem_seg_head\.predictor\.", "semantic.predictor."),
    *(
        rename
        for place in range(3)
        for rename in (
            (rf"^sem_seg_head\.p(\d)\.{2 * place}\.norm\.", rf"semantic.levels.<\1-2>.{place}.1."),
            (rf"^sem_seg_head\.p(\d)\.{2 * place}\.", rf"semantic.levels.<\1-2>.{place}.0."),
        )
    ),
)
PANOPTIC_DETECTRON2 = replace(
    DETECTRON2,
    networks=dict.fromkeys(_NAMES, DETECTRON2.networks["maskrcnn_r50_fpn"]),
    required=(*DETECTRON2.required, r"^sem_seg_head\.predictor\."),
    forbidden=(),
    renames=(*DETECTRON2.renames[:-1], *_DETECTRON2_HEAD, _INTO),
    kinds=_with_stuff("roi_heads.box_predictor.cls_score.weight", "sem_seg_head.predictor.weight"),
)


def _things_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the class that stands for all things, which mmdetection has last, first."""
    assert MMDETECTION.prepare is not None  # noqa: S101 - it has one
    turned = MMDETECTION.prepare(tensors)
    for name, tensor in tensors.items():
        if name.startswith("semantic_head.conv_logits.") and tensor.ndim:
            turned[name] = torch.cat([tensor[-1:], tensor[:-1]])
    return turned


PANOPTIC_MMDETECTION = replace(
    MMDETECTION,
    networks=dict.fromkeys(_NAMES, MMDETECTION.networks["maskrcnn_r50_fpn"]),
    required=(*MMDETECTION.required, r"^semantic_head\.conv_logits\."),
    forbidden=tuple(mark for mark in MMDETECTION.forbidden if "semantic_head" not in mark),
    renames=(
        *MMDETECTION.renames[:-1],
        (r"semantic_head\.conv_upsample_layers\.(\d)\.conv\.(\d)\.conv\.", r"semantic.levels.\1.\2.0."),
        (r"semantic_head\.conv_upsample_layers\.(\d)\.conv\.(\d)\.gn\.", r"semantic.levels.\1.\2.1."),
        (r"semantic_head\.conv_logits\.", "semantic.predictor."),
        _INTO,
    ),
    prepare=_things_first,
    kinds=_with_stuff("roi_head.bbox_head.fc_cls.weight", "semantic_head.conv_logits.weight"),
)

LAYOUTS: tuple[Layout, ...] = (PANOPTIC_DETECTRON2, PANOPTIC_MMDETECTION)
