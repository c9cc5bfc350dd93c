"""Tiny scenes in the folder layouts of three public data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from writing import POTSDAM, VAIHINGEN, grid_at, write_tiff

from geoseg.core.isprs_legend import BUILDING, CLUTTER, LOW_VEGETATION, TOWN_LEGEND, TREE
from geoseg.synthetic.town import Town, draw_town

DEEPGLOBE = {
    "urban land": (0, 255, 255),
    "agriculture land": (255, 255, 0),
    "rangeland": (255, 0, 255),
    "forest land": (0, 255, 0),
    "water": (0, 0, 255),
    "barren land": (255, 255, 255),
    "unknown": (0, 0, 0),
}
_ERODED_PX = 3


def coloured(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn codes (y, x) into the colours of the ISPRS legend (band, y, x)."""
    return np.array([entry.rgb for entry in TOWN_LEGEND.classes], np.uint8)[labels].transpose(2, 0, 1)


def without_boundary(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colour the labels and blacken all within three pixels of another class, as the eroded ground truth does."""
    reach = np.arange(-_ERODED_PX, _ERODED_PX + 1)
    disc = reach[:, None] ** 2 + reach**2 <= _ERODED_PX**2
    kept = np.zeros(labels.shape, bool)
    for code in TOWN_LEGEND.codes:
        kept |= ndimage.binary_erosion(labels == code, disc, border_value=1)
    return np.asarray(coloured(labels) * kept, np.uint8)


def write_vaihingen(folder: Path) -> None:
    """Write areas 1 and 2 in the layout of ISPRS Vaihingen: near infrared, red, green at 9 cm."""
    for area, seed, shape in ((1, 2032, (304, 320)), (2, 2040, (320, 304))):
        town = draw_town(seed, shape)
        grid, name = grid_at(VAIHINGEN, town.gsd_m, col=5000 * area), f"top_mosaic_09cm_area{area}"
        write_tiff(folder / f"top/{name}.tif", _irrg(town), **grid, photometric="RGB")
        write_tiff(folder / f"dsm/dsm_09cm_matching_area{area}.tif", _surface(town), **grid)
        write_tiff(folder / f"gts_for_participants/{name}.tif", coloured(town.labels), **grid, photometric="RGB")
        eroded = folder / f"gts_eroded_for_participants/{name}_noBoundary.tif"
        write_tiff(eroded, without_boundary(town.labels), **grid, photometric="RGB")


def write_potsdam(folder: Path) -> None:
    """Write tiles 2_10 and 2_13 in the layout of ISPRS Potsdam: 5 cm, in three band sets."""
    for tile, seed in ("2_10", 2045), ("2_13", 2033):
        town = draw_town(seed, (288, 288), gsd_m=0.05)
        grid, name = grid_at(POTSDAM, town.gsd_m, col=1000 * int(tile[2:])), f"top_potsdam_{tile}"
        rgbir = np.concatenate([town.rgb, town.nir[None]])
        write_tiff(folder / f"2_Ortho_RGB/{name}_RGB.tif", town.rgb, **grid, photometric="RGB")
        write_tiff(folder / f"3_Ortho_IRRG/{name}_IRRG.tif", _irrg(town), **grid, photometric="RGB")
        write_tiff(folder / f"4_Ortho_RGBIR/{name}_RGBIR.tif", rgbir, **grid, photometric="RGB", alpha="NO")
        write_tiff(folder / f"1_DSM/dsm_potsdam_0{tile}.tif", _surface(town), **grid)
        write_tiff(folder / f"5_Labels_all/{name}_label.tif", coloured(town.labels), **grid, photometric="RGB")
        eroded = folder / f"5_Labels_all_noBoundary/{name}_label_noBoundary.tif"
        write_tiff(eroded, without_boundary(town.labels), **grid, photometric="RGB")


def write_deepglobe(folder: Path) -> None:
    """Write two scenes in the layout of DeepGlobe land cover: 50 cm, JPEG beside a coloured PNG, no georeference."""
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for number, seed in ((119, 2042), (855, 2044)):
        town = draw_town(seed, (256, 256), gsd_m=0.5)
        mask = np.array(list(DEEPGLOBE.values()), np.uint8)[land_cover(town)]
        Image.fromarray(town.rgb.transpose(1, 2, 0)).save(folder / f"train/{number}_sat.jpg", quality=88)
        Image.fromarray(mask).save(folder / f"train/{number}_mask.png", optimize=True)


def land_cover(town: Town) -> npt.NDArray[np.intp]:
    """Group a town's classes into DeepGlobe's seven, as broadly as its mappers drew: indices into ``DEEPGLOBE``."""
    names = list(DEEPGLOBE)
    built = ndimage.distance_transform_edt(town.labels != BUILDING) * town.gsd_m < 25
    cover = np.full(town.labels.shape, names.index("urban land"))
    cover[(town.labels == LOW_VEGETATION) & ~built] = names.index("rangeland")
    # Meadows and fields taller than a lawn are farmed.
    cover[(town.labels == LOW_VEGETATION) & ~built & _is_rough(town)] = names.index("agriculture land")
    cover[town.labels == TREE] = names.index("forest land")
    cover[town.labels == CLUTTER] = names.index("barren land")
    cover[(town.labels == CLUTTER) & (town.nir < town.rgb[1])] = names.index("water")
    shares = [ndimage.gaussian_filter((cover == k).astype(np.float32), 2.0 / town.gsd_m) for k in range(len(names))]
    broad = np.argmax(shares, axis=0)
    broad[:, :3] = names.index("unknown")
    return broad


def _is_rough(town: Town) -> npt.NDArray[Any]:
    mean = ndimage.uniform_filter(town.rgb[1].astype(np.float32), 25)
    return np.asarray(ndimage.uniform_filter((town.rgb[1] - mean) ** 2, 25) > 60)


def _irrg(town: Town) -> npt.NDArray[np.uint8]:
    return np.stack([town.nir, town.rgb[0], town.rgb[1]])


def _surface(town: Town) -> npt.NDArray[Any]:
    # Two centimetres is what matching resolves; finer digits would only cost space.
    return np.asarray(np.round(town.dsm * 50) / 50, np.float32)[None]
