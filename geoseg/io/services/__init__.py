"""Tile and map services (XYZ, WMS, WMTS) as scenes, read by window."""
