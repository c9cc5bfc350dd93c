"""Band names that the configuration of an archive gives where the files have none."""

from __future__ import annotations

from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.card import ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.errors import MatchError


def spec_for(ref: SceneRef, spec: PredictSpec, card: ModelCard) -> PredictSpec:
    """Resolve band names to band numbers where the archive names the bands of a scene.

    Args:
        ref: the scene, with its band names.
        spec: options of the prediction.
        card: the model's card.

    Raises:
        MatchError: the scene has no band of a requested name.
    """
    if ref.bands is None:
        return spec
    requested = spec.bands or card.band_names
    missing = [name for name in requested if name not in ref.bands and not name.isdigit()]
    if missing:
        cause = f"it has bands ({', '.join(ref.bands)}); model {card.name} needs {', '.join(missing)}."
        raise MatchError(ref.uri, cause, "Set predict: bands or choose another model.")
    numbers = tuple(name if name.isdigit() else str(ref.bands.index(name) + 1) for name in requested)
    return spec.model_copy(update={"bands": numbers})
