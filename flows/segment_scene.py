"""Segment one scene: ``python flows/segment_scene.py --help``."""

from geoseg.flows.outcome import command
from geoseg.flows.segment_scene import main, segment_scene

__all__ = ["segment_scene"]

if __name__ == "__main__":
    command(main)
