"""Write docs/networks.md from the registry, or print the costs that the entries of networks should state.

Run in the repository's root: ``python docs/networks.py``, or ``python docs/networks.py --measure [NETWORK...]``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from geoseg.errors import ModelError
from geoseg.nn import NETWORKS
from geoseg.nn.zoo.entry import MACS_UNIT
from geoseg.nn.zoo.measure import measure

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "networks.md"
TRAINED = ROOT / "docs" / "families.jsonl"

HEAD = f"""# Networks

`geoseg.nn.build(name, in_channels, classes, **options)` builds each of these with random weights; `geoseg models show
NAME` lists its options. It answers with logits `(B, classes, H, W)` at the input's size for any size and any number of
bands. Networks for objects, at the end of the table, are described below it. Networks with auxiliary heads answer
through them only when `geoseg.nn.parts.auxiliary.forward_all` asks, as training does.

Parameters are without auxiliary heads. GMAC: {MACS_UNIT}.
Stride: pixels of the input for one of the finest features that are classified. The references are what counts, forward
passes or layers were compared with; no code is theirs.

This page is written by `docs/networks.py`; do not edit it.

| name | paper | parameters | auxiliary | GMAC | stride | known weights | references |
|---|---|---|---|---|---|---|---|
"""

OBJECTS = """
## Networks that answer with objects

They follow torchvision's detection convention. `classes` counts the background, which is class 0, so that one kind of
object needs `classes=2`. `network(images)` takes `(N, C, H, W)` or a list of `(C, H, W)` of different sizes, already
normalised, and gives one dict an image: `boxes` (n, 4) in pixels x0, y0, x1, y1, `labels` (n), `scores` (n) and `masks`
(n, H, W) of probabilities. In training mode `network(images, targets)` gives a dict of losses; a target has `boxes`,
`labels`, `masks` and, for regions where nothing is known, `iscrowd`. Nothing is resized: objects are seen at the
image's own scale. Auxiliary parameters are those that only training uses; GMAC are those of an image, whatever is on
it.

- `yolact_*`: `network.body` has the convolutions, tensor in and tensors out, for runtimes; `network.decode` makes
  objects of its answers. `anchor_px` are the sides of the anchors, one entry a level of the pyramid; `finest=4` suits
  objects of 10 to 60 pixels. `min_score`, `nms_iou`, `top_k` and `max_objects` tell which objects are kept.
- `watershed_unet`: a U-Net that also answers how deep in its object each pixel lies, 1 at its middle and 0 at its
  edge. Basins of the depth are objects; two are one where the pass between them is at least `neck` times the lower
  top. Pixels between neighbours are taught as background, and given back to the nearer one afterwards
  (`network.rules`). It answers `numbers` (H, W)
  instead of masks: k + 1 where object k is, else 0. Training begins with all weights of a U-Net on the same encoder.
- `maskrcnn_*`, `maskscoring_*`, `panet_r50`: torchvision's Mask R-CNN and what its authors' followers changed. Those
  with `norm="frozen"` keep the backbone's batch normalisation as pretrained weights have it; learn from random weights
  with `norm="batch"`. `aligned`, `sampling` and `caffe` are the differences between torchvision, detectron2,
  mmdetection and the Caffe models in RoIAlign and in the place of the strides; `resize=[800, 1333]` resizes images as
  the authors do. The GMAC count 1,000 proposals and 100 objects. Mask Scoring R-CNN gives `box_scores` too.
- `maskrcnn_*` with `form="matterport"` has the layers of matterport/Mask_RCNN, Keras's Mask R-CNN. Where it differs
  from torchvision there are options, each by itself, all set by an [import](checkpoints.md#keras):

  | option | there | torchvision |
  |---|---|---|
  | `caffe` | a block halves in its first 1x1 convolution | in its 3x3 convolution |
  | `norm_eps` | 0.001 | 0.00001 |
  | `same_pool` | the stem's maximum is padded at the end of even sides | on both sides |
  | `exact_anchors` | anchors of fractions of a pixel | rounded |
  | `aspects` | heights over widths 2, 1, 0.5, in this order | 0.5, 1, 2 |
  | `rpn_std` | proposals' offsets are scaled by 0.1, 0.1, 0.2, 0.2 | not at all |
  | `clamp_deltas=False` | boxes grow without limit | at most 62.5 times |
  | `closed_boxes` | boxes end at their last pixel, sides are one less | at the first pixel outside |
  | `joint_levels`, `candidates` | the best 6,000 proposals of all levels together | the best of each level |
  | `nearest_level` | a region is read from the level nearest to its size | from the next finer one |
  | `pooling="crop"` | `crop_and_resize`: one point a bin, corner to corner | RoIAlign |
  | `best_class` | a region is one object, of its best class, with a score of at least `min_score` | one of each class |
  | `min_score`, `nms_iou` | 0.7, 0.3 | 0.05, 0.5 |
  | `whole_boxes` | boxes of whole pixels, masks resized into them | of fractions |
  | `multiple_px` | a batch has sides of multiples of 64 | of 32 |
- `panoptic_*`, `oanet_r50`, `aunet_r50`: objects and class maps, for [panoptic maps](panoptic.md). `classes` counts all
  classes; `things` are the indices of those of objects, all but the first unless given. Answers have `semantic`
  (classes, H, W) too, logits of all classes.
- `tensormask_r50`: a mask for every place of six levels, no regions. `anchor_px` are the sides of the anchors at stride
  4; the heads were compared with detectron2's project, the operation that swaps places and cells with a plain loop.
"""

TAIL = """
## From imagery to map, every family

`benchmarks/families.py` lets one network of each family learn for two minutes (`deeplabv1` and `refinenet_r101`, which
go by smaller steps: three and a half) on one core from random weights, on chips of 128 px of the first 2,048 rows of a
drone mosaic (Banepa, Nepal: buildings), then maps rows 2,304 to 2,815 as `geoseg predict` does, on OpenVINO in bf16 on
the same core. That is far too short for the large ones: it shows that each learns, maps, how fast and how big, not how
good it can become. Buildings everywhere would have an IoU of 0.40 and a kappa of 0.
`timm_unet` on a pretrained encoder and more minutes is what the bundled models are; see [Bundled models](models.md).

| network | steps | IoU of buildings | kappa | Mpx/s | model file, MB |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page's text."""
    lines = []
    for entry in NETWORKS.values():
        family, cost = entry.family, entry.cost
        cells = [
            f"`{entry.name}`",
            f"[{family.paper}]({family.url}), {family.venue}" if family.venue != "-" else f"[library]({family.url})",
            "-" if cost is None else f"{cost.parameters:,}",
            f"{cost.auxiliary:,}" if cost is not None and cost.auxiliary else "-",
            "-" if cost is None else f"{cost.macs / 1e9:.1f}",
            "-" if entry.output_stride is None else str(entry.output_stride),
            family.weights,
            family.references,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n" + OBJECTS + TAIL + trained()


def trained() -> str:
    """The rows of what ``benchmarks/families.py`` measured."""
    rows = [json.loads(line) for line in TRAINED.read_text().splitlines()]
    cells = (
        [f"`{row['network']}`", *(str(row[key]) for key in ("steps", "iou", "kappa", "mpx_per_s", "mb"))]
        for row in rows
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def print_costs(names: list[str]) -> None:
    """Measure networks and print their costs as their entries state them."""
    for name in names:
        try:
            parameters, auxiliary, macs = measure(name)
        except ModelError as error:
            sys.stderr.write(f"{error}\n")
            continue
        sys.stdout.write(f"{name}: Cost(parameters={parameters:_}, auxiliary={auxiliary:_}, macs={macs:_})\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print_costs(sys.argv[2:] or list(NETWORKS))
    else:
        PAGE.write_text(page())
