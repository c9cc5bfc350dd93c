"""Writers of polygons: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON, PMTiles and what GDAL adds."""
