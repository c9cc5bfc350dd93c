"""Panoptic maps of a scene: the things that tiles detect, on the stuff that each pixel is."""
