"""Published weights: one file of names for each layout, and what turns them into a network of ours."""

from geoseg.nn.checkpoints.hints import network_of
from geoseg.nn.checkpoints.layout import Layout
from geoseg.nn.checkpoints.remap import Fitted, fit
from geoseg.nn.checkpoints.unwrap import unwrap

__all__ = ["Fitted", "Layout", "fit", "network_of", "unwrap"]
