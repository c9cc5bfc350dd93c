"""Open and write: the only floor that touches rasterio, pyogrio and zarr."""
