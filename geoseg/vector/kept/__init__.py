"""Traced blocks that are kept on disk between two changes of a map."""
