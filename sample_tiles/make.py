"""Draw and write all sample scenes: ``python sample_tiles/make.py --out DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

from layouts import write_deepglobe, write_potsdam, write_vaihingen
from traits import write_traits
from writing import VAIHINGEN, grid_at, write_cog

from geoseg.core.isprs_legend import TOWN_LEGEND
from geoseg.synthetic.town import draw_town

TOWN_SEED = 2026
"""Kept out of training, whose towns have the seeds 1 to 99."""
TOWN_SHAPE = (2048, 2048)


def write_town(folder: Path) -> None:
    """Write the shipped town, its picture and its labels."""
    town = draw_town(TOWN_SEED, TOWN_SHAPE)
    grid = grid_at(VAIHINGEN, town.gsd_m)
    write_cog(folder / "town.tif", town.rgb, grid, compress="jpeg", quality=90, blocksize=512, overview_quality=75)
    colours = {entry.code: entry.rgb for entry in TOWN_LEGEND.classes}
    tidy = {"compress": "deflate", "level": 9, "blocksize": 512, "overview_resampling": "mode"}
    write_cog(folder / "town_labels.tif", town.labels[None], grid, colours, **tidy)


PARTS = {
    "town": write_town,
    "vaihingen": lambda folder: write_vaihingen(folder / "vaihingen"),
    "potsdam": lambda folder: write_potsdam(folder / "potsdam"),
    "deepglobe": lambda folder: write_deepglobe(folder / "deepglobe"),
    "traits": lambda folder: write_traits(folder / "traits"),
}


def main() -> None:
    """Parse the command line and write what it asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write into")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to write")
    options = parser.parse_args()
    for name in options.only:
        PARTS[name](options.out)
        print(f"{name}: written to {options.out}")


if __name__ == "__main__":
    main()
