"""Description of a run's layers: their content, licence and lineage."""

from __future__ import annotations

from pathlib import PurePosixPath

import geoseg
from geoseg.io.files.gdal_name import escaped
from geoseg.io.publish.about import About
from geoseg.io.publish.stac_item import public_name, without_secrets
from geoseg.run.plan import Job


def about_layers(job: Job) -> About:
    """Describe the layers of a run; the text depends on neither time nor folder."""
    card, spec = job.model.card, job.plan.spec
    uri = job.scene.uri
    name = PurePosixPath(without_secrets(uri)).name if job.scene.service is None else public_name(uri)
    scene = escaped(name) or "the scene"
    names = ", ".join(card.legend.names)
    how = [f"at {sum(job.plan.read.scene_gsd_m) / 2:.3g} m a pixel", f"tiles of {job.plan.tiling.tile_px} px"]
    if spec.tta != "none":
        how.append(f"averaged over {spec.tta} views")
    polygons = ["polygons exact" if not spec.simplify_m else f"polygons simplified by {spec.simplify_m:g} m"]
    if spec.min_area_m2:
        polygons.append(f"regions under {spec.min_area_m2:g} m2 merged into their neighbours")
    weights = f", weights sha256 {card.weights_sha256}" if card.weights_sha256 else ""
    return About(
        title=job.work.bundle.stem,
        abstract=f"Classes ({names}) that the model {card.name} predicts from {scene}. {card.description}".strip(),
        licence=f"{card.licence} (the model {card.name}); the imagery has a licence of its own",
        history=(
            f"Imagery: {scene}, sha256 {job.key['scene']}",
            f"Segmented by geoseg {geoseg.__version__} with {card.name} {card.version}{weights}: {', '.join(how)}",
            *([f"Vectorised by geoseg {geoseg.__version__}: {', '.join(polygons)}"] if spec.vector else []),
        ),
        keywords=("segmentation", *card.legend.names),
    )
