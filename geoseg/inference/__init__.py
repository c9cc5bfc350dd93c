"""Inference: a scene matched to a model, its tiles predicted and blended, its blocks classified."""
