"""Synthetic towns: imagery with exact labels, drawn from a seed."""
