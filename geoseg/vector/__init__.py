"""Codes to polygons."""
