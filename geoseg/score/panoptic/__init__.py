"""Panoptic quality: segments of stuff and things matched with those of a reference."""
