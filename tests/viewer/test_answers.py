"""Places of low confidence without polygons lie where their pixels do, also in scenes of many degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_bounds

from geoseg.io.tiles.raster import open_layer
from geoseg.viewer.answers import least_certain
from geoseg.viewer.layers import RasterView, SceneLayers


@pytest.mark.parametrize("latitude", [5.0, 30.0, 58.0])
def test_a_cell_covers_the_pixels_of_low_confidence(tmp_path: Path, latitude: float) -> None:
    values = np.full((1200, 400), 90, np.uint8)
    row, col = int((60 - latitude) / 60 * 1200), 250
    values[row - 20 : row + 20, col - 20 : col + 20] = 5
    facts = {"driver": "GTiff", "height": 1200, "width": 400, "count": 1, "dtype": "uint8", "crs": 4326}
    with rasterio.open(tmp_path / "c.tif", "w", transform=from_bounds(0, 0, 20, 60, 400, 1200), **facts) as file:
        file.write(values, 1)
    raster = open_layer(tmp_path / "c.tif")
    view = RasterView(id="confidence", label="Confidence", kind="percent", raster=raster)
    layers = SceneLayers(name="c", rasters={"confidence": view}, polygons={}, legend=None, bounds=raster.bounds)
    west, south, east, north = least_certain(layers, 1, 0.0)["places"][0]["bounds"]
    assert west < 12.5 + 1
    assert east > 12.5 - 1
    assert south < latitude + 1
    assert north > latitude - 1
    assert north - south < 4
