"""Runtimes: libraries that run a network on a device. Tiles in, probabilities out."""
