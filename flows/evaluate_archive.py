"""Score an archive against references: ``python flows/evaluate_archive.py --help``."""

from geoseg.flows.ending import command
from geoseg.flows.evaluate_archive import evaluate_archive, main

__all__ = ["evaluate_archive"]

if __name__ == "__main__":
    command(main)
