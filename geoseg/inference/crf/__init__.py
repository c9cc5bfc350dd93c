"""Fully connected CRF: sharpen class probabilities by the colours of the image."""

from geoseg.inference.crf.refine import refine, refiner

__all__ = ["refine", "refiner"]
