"""Write the tables of docs/checkpoints.md: which architectures of which framework are read, and how near they are.

Run in the repository's root: ``python docs/checkpoints.py``. It runs every network that tests/nn/references has the
answers of, which takes some minutes; with words after it, those of sources and networks that have one in their name,
and keeps the other rows' numbers. The tests hold that the tables list every layout and every comparison.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geoseg.nn import NETWORKS
from geoseg.nn.checkpoints import fit, strip_wrapper
from geoseg.nn.checkpoints.layouts import LAYOUTS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "checkpoints.md"
TESTS = ROOT / "tests" / "nn"
BEGIN, END = "<!-- table of docs/checkpoints.py -->", "<!-- end of the table -->"
BEGIN_STATES, END_STATES = "<!-- states by docs/checkpoints.py -->", "<!-- end of the states -->"
FAMILIES = {
    "geoseg.nn.fcn": "FCN",
    "geoseg.nn.fcn_resnet": "FCN",
    "geoseg.nn.segnet": "SegNet",
    "geoseg.nn.unet": "U-Net",
    "geoseg.nn.unets.mmseg": "U-Net",
    "geoseg.nn.unets.resnet": "U-Net",
    "geoseg.nn.unets.plusplus": "U-Net++",
    "geoseg.nn.deeplabv2": "DeepLab V2",
    "geoseg.nn.deeplabv3": "V3",
    "geoseg.nn.deeplabv3plus": "V3+",
    "geoseg.nn.pspnet": "PSPNet",
    "geoseg.nn.psanet": "PSANet",
    "geoseg.nn.hrnet": "HRNet",
    "geoseg.nn.ocr": "OCR",
    "geoseg.nn.duc_hdc": "DUC-HDC",
    "geoseg.nn.refinenet": "RefineNet",
    "geoseg.nn.fastfcn": "FastFCN",
    "geoseg.nn.dfn": "DFN",
    "geoseg.nn.bisenet": "BiSeNet",
    "geoseg.nn.fpn": "FPN, UPerNet",
    "geoseg.nn.setr": "SETR",
    "geoseg.nn.instance.yolact": "objects",
    "geoseg.nn.instance.mask_rcnn": "objects",
    "geoseg.nn.interactive.deeplab": "clicks",
    "geoseg.nn.interactive.hrnet": "clicks",
    "geoseg.nn.panoptic.regions": "panoptic",
}
"""Module of a builder to the column of the table of states."""
OTHERS = "its library's own"
HEAD = """| source | networks | compared | sizes | largest difference, of the largest logit |
|---|---|---|---|---|
"""
BY_TESTS = {
    "matterport/Mask_RCNN": "its layers and answers in Keras, see [Keras](#keras)",
    "saic-vul/fbrs_interactive_segmentation": "its logits to clicks, in the tests: at most 2e-6",
    "torchvision": "its own networks, in the tests",
    "segmentation-models-pytorch": "its own networks, in the tests",
    "torchgeo": "its own networks, in the tests",
    "ycszen/TorchSeg": "its forward pass, written anew in the tests",
    "DrSleep/refinenet-pytorch": "its forward pass, written anew in the tests",
    **dict.fromkeys(
        ("dbolya/yolact", "ShuLiu1993/PANet", "zjhuang22/maskscoring_rcnn"),
        "its answers before suppression, in the tests: at most 2e-6",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One file of tests/nn/references: the answers of a network of others."""

    name: str
    network: str
    size: tuple[int, int]
    tensors: dict[str, tuple[int, ...]]
    logits: Any
    meta: dict[str, str]


def comparisons() -> list[Comparison]:
    """Read every file."""
    found = []
    for path in sorted((TESTS / "references").rglob("*.npz")):
        with np.load(path) as file:
            lines = [line.split() for line in str(file["tensors"]).splitlines()]
            logits = file["logits"]
            network = str(file["network"]) if "network" in file else path.stem.removeprefix("mmsegmentation_")
            size = tuple(file["size"].tolist()) if "size" in file else None
            meta = {"cfg": str(file["config"])} if "config" in file else {}
        if size is None:  # every fourth pixel is kept
            size = (64, 96) if logits.shape[2:] == (16, 24) else (65, 97)
        tensors = {key: tuple(map(int, sides)) for key, *sides in lines}
        found.append(Comparison(name=path.stem, network=network, size=size, tensors=tensors, logits=logits, meta=meta))
    return found


def rows() -> list[tuple[Any, list[Comparison]]]:
    """Every layout with its comparisons."""
    every = comparisons()
    return [
        (layout, [one for one in every if one.network in layout.networks and layout.fits(_bare(one))])
        for layout in LAYOUTS
    ]


def _bare(one: Comparison) -> list[str]:
    return [name.removeprefix("base.") for name in one.tensors]


def difference(one: Comparison) -> float:
    """Largest difference of a network of ours from the other's answers, as a share of the largest logit."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    weights = importlib.import_module("published_weights")
    chosen = {
        **importlib.import_module("test_checkpoint_layouts").SMALL,
        **importlib.import_module("test_mmseg_configuration").CHOSEN,
        **importlib.import_module("test_authors_networks").CHOSEN,
    }
    metadata = {"meta": one.meta} if one.meta else {}
    options = chosen.get(one.name.removeprefix("mmsegmentation_"))
    fitted = fit(one.network, strip_wrapper(weights.drawn(one.tensors)), chosen=options, metadata=metadata)
    with torch.inference_mode():
        logits = fitted.network(weights.pixels(*one.size))
    if one.name in importlib.import_module("test_authors_networks").LOGARITHMS:
        logits = logits.log_softmax(1)
    answer = logits.numpy()[..., ::4, ::4]
    expected = one.logits
    if fitted.sigmoid:
        expected = np.concatenate([0 * expected, expected - np.log(fitted.threshold / (1 - fitted.threshold))], axis=1)
    return float(np.abs(answer - expected).max() / np.abs(expected).max())


def line(layout: Any, compared: list[Comparison], nearness: str) -> str:
    """One row of the table."""
    networks = ", ".join(f"`{name}`" for name in layout.networks)
    if layout.source == "segmentation-models-pytorch":
        networks = "`smp_*`"
    names = ", ".join(f"`{one.name.removeprefix('mmsegmentation_')}`" for one in compared)
    sizes = ", ".join(dict.fromkeys(f"{rows} x {cols}" for rows, cols in (one.size for one in compared)))
    how = names or BY_TESTS.get(layout.source, "names and shapes")
    return f"| {layout.source} | {networks} | {how} | {sizes} | {nearness} |"


def states(made: list[tuple[Any, list[Comparison]]]) -> str:
    """Make the table of frameworks and architectures: ``=`` compared, ``t`` in tests, ``n`` by names."""
    columns = [*dict.fromkeys(FAMILIES.values()), OTHERS]
    found: dict[str, dict[str, str]] = {}
    for layout, compared in made:
        row = found.setdefault(layout.source, {})
        for name in layout.networks:
            module = NETWORKS[name].family.builder.partition(":")[0]
            column = FAMILIES.get(module, OTHERS)
            told = "n" if "names and shapes" in line(layout, compared, "") else "t"
            row[column] = "=" if compared or row.get(column) == "=" else told
    head = f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
    lines = (f"| {source} | {' | '.join(row.get(c, '') for c in columns)} |" for source, row in sorted(found.items()))
    return head + "\n".join(lines)


def main() -> None:
    """Write the table."""
    lines, made, every = [], rows(), []
    kept = _kept()
    for layout, compared in made:
        nearness = kept.get(line(layout, compared, "").rpartition("|  |")[0])
        if nearness is None or _named(layout, sys.argv[1:]):
            worst = max((difference(one) for one in compared), default=None)
            nearness = "" if worst is None else "0" if worst == 0 else f"{worst:.0e}"
            sys.stderr.write(f"{line(layout, compared, nearness)}\n")
        every.append(float(nearness or 0))
        lines.append(line(layout, compared, nearness))
    compared = len({one.name for _, found in made for one in found})
    total = f"\n\n{compared} comparisons; the largest difference of all is {max(every):.0e} of the largest logit."
    page = _between(PAGE.read_text(), (BEGIN, END), HEAD + "\n".join(lines) + total)
    PAGE.write_text(_between(page, (BEGIN_STATES, END_STATES), states(made)))


def _named(layout: Any, words: list[str]) -> bool:
    return not words or any(word in text for word in words for text in (layout.source, *layout.networks))


def _kept() -> dict[str, str]:
    """Numbers of the rows of the page."""
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = (row.removesuffix(" |").rpartition("| ") for row in table.splitlines() if row.startswith("| "))
    return {begin: number for begin, _, number in rows}


def _between(page: str, marks: tuple[str, str], text: str) -> str:
    before, _, rest = page.partition(marks[0])
    return f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.partition(marks[1])[2]}"


if __name__ == "__main__":
    main()
