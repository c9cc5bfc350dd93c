"""Train a model from a recipe: ``python flows/train_model.py --help``."""

from geoseg.flows.outcome import command
from geoseg.flows.train_model import main, train_model

__all__ = ["train_model"]

if __name__ == "__main__":
    command(main)
