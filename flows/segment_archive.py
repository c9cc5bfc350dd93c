"""Segment all scenes of an archive: ``python flows/segment_archive.py --help``."""

from geoseg.flows.outcome import command
from geoseg.flows.segment_archive import main, segment_archive

__all__ = ["segment_archive"]

if __name__ == "__main__":
    command(main)
