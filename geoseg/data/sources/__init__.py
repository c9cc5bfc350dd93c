"""Kinds of training data, one file each; ``geoseg.data.sources.kinds`` lists them."""
