"""Evaluation of an interactive model: how many clicks objects need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError
from geoseg.interactive.model import ClickModel
from geoseg.interactive.noc import MAX_CLICKS, count_clicks, simulate
from geoseg.interactive.predictor import PredictorSettings
from geoseg.interactive.targets import Target

IOUS = (0.8, 0.85, 0.9)
"""Overlaps that clicks are counted for."""


def evaluate_clicks(
    targets: Iterable[Target],
    model: ClickModel,
    settings: PredictorSettings,
    *,
    ious: Sequence[float] = IOUS,
    most: int = MAX_CLICKS,
) -> UntypedDict:
    """Click on objects until the answers are good enough, and count.

    Args:
        targets: the objects.
        model: the model.
        settings: of its predictor.
        ious: overlaps to count clicks for; clicking on an object ends at the largest.
        most: most clicks on an object.

    Returns:
        ``noc``: for each overlap its mean number of clicks and the number of objects that needed the most or more;
        ``mean_iou``: mean overlap after each number of clicks; ``objects``: the overlaps of each; and
        ``seconds_per_click``, of the answers alone.

    Raises:
        UsageError: an overlap or the number of clicks makes no sense.
    """
    if not ious or not all(0 < iou <= 1 for iou in ious) or most < 1:
        raise UsageError("overlaps are numbers above 0 and up to 1, and at least one click is needed.")
    found: list[tuple[str, list[float]]] = []
    seconds, clicks = 0.0, 0
    for target in targets:
        one = simulate(model.network, target.image, target.truth, settings, until=max(ious), most=most)
        found.append((target.name, one.overlaps))
        seconds += one.seconds
        clicks += len(one.overlaps)
    overlaps_of = [overlaps for _, overlaps in found]
    counts = [count_clicks(overlaps_of, iou, most) for iou in ious]
    # an object that is good enough keeps its overlap
    after = [[one[min(n, len(one) - 1)] for one in overlaps_of] for n in range(max(map(len, overlaps_of)))]
    return {
        "model": model.card.name,
        "method": settings.method,
        "max_clicks": most,
        "noc": [{"iou": c.iou, "mean": c.mean, "failed": c.failed} for c in counts],
        "mean_iou": [sum(values) / len(values) for values in after],
        "objects": [{"name": name, "iou": overlaps} for name, overlaps in found],
        "seconds_per_click": seconds / clicks,
    }
