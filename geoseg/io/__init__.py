"""Open and write: the only floor that touches rasterio and pyogrio."""
