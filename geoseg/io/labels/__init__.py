"""Rasters and polygons that carry classes: maps, labels, references, areas of interest, samples."""
