"""A map that was corrected by hand and is predicted anew: nothing is lost in silence."""

from __future__ import annotations

import numpy as np
import pytest
from corrected_maps import (  # noqa: F401 - fixtures
    box,
    fixture_of_finished_map,
    fixture_of_finished_maps,
    read,
    record_of,
    repaint,
)

import geoseg
import geoseg.edits
from geoseg.archive.check import check_output
from geoseg.core.spec import PredictSpec
from geoseg.errors import OutputError


def predict(folder, maps, **options):
    scene, model = folder.parent.parent / "scene.tif", maps("exact").parent / "tiny.safetensors"
    return geoseg.predict(scene, model, folder.parent, **options)


def test_corrections_are_kept_unless_they_shall_be_dropped(finished_map, finished_maps) -> None:
    folder = finished_map()
    session = geoseg.edits.open(folder, author="Ann")
    area = repaint(box(30, 60, 40, 90), 5)
    session.apply(area)
    session.save()
    edited = read(folder / "scene_classes.tif")
    same = predict(folder, finished_maps, spec=PredictSpec(min_area_m2=0.0), overwrite=True)
    assert not same.fresh
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), edited)
    other = PredictSpec(min_area_m2=3.0, uncertainty=True)
    with pytest.raises(OutputError, match="1 corrections by hand would be lost.*edits='replay'"):
        predict(folder, finished_maps, spec=other, overwrite=True)
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), edited)

    predict(folder, finished_maps, spec=other, overwrite=True, edits="replay")
    np.testing.assert_array_equal(read(folder / "scene_classes.tif"), edited)
    assert (folder / "scene_entropy.tif").exists()
    assert record_of(folder)["edits"]["authors"] == ["Ann"]
    (entry,) = geoseg.edits.open(folder).log.entries
    assert (entry.edit.id, entry.saved) == (area.id, True)
    assert [checked.faults for checked in check_output(folder)] == [()]
    (folder / "scene_segments.gpkg").unlink()
    with pytest.raises(OutputError, match="geoseg edit save .* --again"):
        predict(folder, finished_maps, spec=other)
    geoseg.edits.open(folder).save(again=True)
    assert [checked.faults for checked in check_output(folder)] == [()]

    predict(folder, finished_maps, spec=PredictSpec(min_area_m2=0.0), overwrite=True, edits="discard")
    assert not (folder / "edits.gpkg").exists()
    assert not (folder / "original").exists()
    assert (read(folder / "scene_classes.tif")[30:60, 40:90] != 5).any()
