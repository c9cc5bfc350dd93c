"""Have Prefect run a deployment again when a run of it crashed: ``python flows/resubmit.py --help``."""

from geoseg.flows.outcome import command
from geoseg.flows.resubmit import main

if __name__ == "__main__":
    command(main)
