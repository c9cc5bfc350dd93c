"""Writers of polygons: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON, PMTiles, and drivers of GDAL."""
