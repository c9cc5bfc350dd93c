"""Datasets and chips for training."""
