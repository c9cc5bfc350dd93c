"""Scores: what a map is worth against a reference, over whole mosaics in bounded memory."""
