"""Map tiles of rasters and polygons in Web Mercator, made when they are asked for."""
