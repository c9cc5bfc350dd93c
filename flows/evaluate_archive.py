"""Score an archive against references: ``python flows/evaluate_archive.py --help``."""

from geoseg.flows.evaluate_archive import evaluate_archive, main
from geoseg.flows.outcome import command

__all__ = ["evaluate_archive"]

if __name__ == "__main__":
    command(main)
