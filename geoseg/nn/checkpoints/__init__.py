"""Published weights: one file of names for each layout, and what turns them into a network of ours."""

from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.checkpoints.metadata import network_of
from geoseg.nn.checkpoints.remap import Fitted, fit
from geoseg.nn.checkpoints.strip_wrapper import strip_wrapper

__all__ = ["Fitted", "Layout", "fit", "network_of", "strip_wrapper"]
