"""Scenes and rasters: opened, placed on Earth, read by window, written as COGs."""
