"""Files of detected objects: polygons and rasters drawn from them."""
