"""Have Prefect send word when an archive's run ends badly: ``python flows/notify.py --help``."""

from geoseg.flows.notify import main
from geoseg.flows.outcome import command

if __name__ == "__main__":
    command(main)
