"""Boundary maps, scored as the Berkeley segmentation benchmark does."""
