"""Scores of maps against references, over whole mosaics in bounded memory."""
