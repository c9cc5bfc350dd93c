"""Segment an archive on a schedule, on one machine: ``python flows/serve.py --help``."""

from geoseg.flows.outcome import command
from geoseg.flows.serve import main

if __name__ == "__main__":
    command(main)
