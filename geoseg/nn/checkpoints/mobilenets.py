"""Names of MobileNetV2's tensors in the published DeepLabs, and those of ``geoseg.nn.parts.mobilenet``."""

from __future__ import annotations

from typing import Final

from geoseg.nn.checkpoints.layout import Rename

_COUNTS: Final = (1, 2, 3, 4, 3, 3, 1)
"""Blocks of each group."""
_BLOCKS: Final = [(group, block) for group, count in enumerate(_COUNTS) for block in range(count)]


def vainf_names(body: str) -> tuple[Rename, ...]:
    """Names of VainF's: ``conv.0.0`` and ``conv.0.1`` are a convolution and its norm."""
    first = ((r"conv\.0\.", "filter."), (r"conv\.1\.", "project.0."), (r"conv\.2\.", "project.1."))
    others = (
        (r"conv\.0\.", "expand."),
        (r"conv\.1\.", "filter."),
        (r"conv\.2\.", "project.0."),
        (r"conv\.3\.", "project.1."),
    )
    return _numbered(body, first, others)


def jfzhang_names(body: str) -> tuple[Rename, ...]:
    """Names of jfzhang95's: ``conv.0``, ``conv.1``, ... with an activation at every third."""
    first = ((r"conv\.([01])\.", r"filter.\1."), (r"conv\.3\.", "project.0."), (r"conv\.4\.", "project.1."))
    others = (
        (r"conv\.([01])\.", r"expand.\1."),
        (r"conv\.([34])\.", r"filter.<\1-3>."),
        (r"conv\.([67])\.", r"project.<\1-6>."),
    )
    return _numbered(body, first, others)


def mmseg_names(body: str) -> tuple[Rename, ...]:
    """Names of mmsegmentation's, before ``conv`` and ``bn`` become 0 and 1: groups of blocks, counted from 1."""
    start = r"^backbone\.layer"
    return (
        (r"^backbone\.conv1\.", f"{body}.stem."),
        (rf"{start}1\.0\.conv\.0\.", f"{body}.groups.0.0.filter."),
        (rf"{start}1\.0\.conv\.1\.", f"{body}.groups.0.0.project."),
        (rf"{start}(\d)\.(\d)\.conv\.0\.", rf"{body}.groups.<\1-1>.\2.expand."),
        (rf"{start}(\d)\.(\d)\.conv\.1\.", rf"{body}.groups.<\1-1>.\2.filter."),
        (rf"{start}(\d)\.(\d)\.conv\.2\.", rf"{body}.groups.<\1-1>.\2.project."),
    )


def _numbered(body: str, first: tuple[Rename, ...], others: tuple[Rename, ...]) -> tuple[Rename, ...]:
    """Rename blocks that are counted through, in two parts of the body."""
    part = r"^backbone\.(?:low|high)_level_features"
    renames: list[Rename] = [(rf"{part}\.0\.", f"{body}.stem.")]
    for number, (group, block) in enumerate(_BLOCKS, start=1):
        ours = f"{body}.groups.{group}.{block}."
        renames += [(rf"{part}\.{number}\.{old}", ours + new) for old, new in (first if number == 1 else others)]
    return tuple(renames)
