"""``kind: edits``: corrections by hand to finished maps; only what was edited counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from geoseg.core.layer import CLASSES, raster_suffix
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.file_scene import FileScene, ScenePart
from geoseg.data.label_files import PolygonFile, RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.regions import Cells, covering, disjoint
from geoseg.data.sources.area_splits import Ground, training_windows
from geoseg.data.sources.model import FileSourceModel, Item, Range, Share, Split, block_cache, open_items, weighted
from geoseg.errors import SceneError, UsageError
from geoseg.io.edits.edit_log import EDITED_LAYER, EDITS_FILE, read_log
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.raster.image_stack import Layer
from geoseg.io.vectors.read import VectorRequest, read_polygons


class EditsSource(FileSourceModel):
    """A corrected map and its scene. Pixels that no active edit painted have no class.

    Attributes:
        map: folder of the layers of a scene, relative to the source's folder; its edits must be saved.
        image: the scene; None: where the run found it.
        bands: names or numbers of the scene's bands; None: all.
        value_range: values that mean 0 and 1; None: 8-bit values as they are.
        validate_share: share of the edited cells that are held out for validation; None: all are for training.
        seed: seed of the draw.
        cell_px: side of the cells.
        guard_px: rows or columns between training and validation cells.
    """

    kind: Literal["edits"]
    map: str
    image: str | None = None
    bands: tuple[str | int, ...] | None = None
    value_range: Range | tuple[Range, ...] | None = None
    validate_share: Share | None = None
    seed: Annotated[int, Field(ge=0)] = 1
    cell_px: Annotated[int, Field(ge=16)] = 256
    guard_px: Annotated[int, Field(ge=1)] = 128

    def split_words(self) -> str:
        """Describe the training part, for the card."""
        held = "" if self.validate_share is None else f" but a share of {self.validate_share:.3g} of the cells"
        return f"what was corrected by hand in {Path(self.map).name}{held}"

    def scenes(self, split: Split, folder: Path, legend: Legend) -> list[ScenePart]:
        """Open one side; see ``SourceModel``."""
        if split == "validate" and self.validate_share is None:
            return []
        place = folder / self.folder / self.map
        self._refuse_unsaved(place / EDITS_FILE)
        record = _record(place / "run.json")
        edited = Path(f"{place / EDITS_FILE}:{EDITED_LAYER}")
        classes = next((place / name for name in record["files"] if name.endswith(raster_suffix(CLASSES))), place)
        item = Item(
            name=place.name,
            layers=(Layer(path=self._image(folder, record), bands=self.bands, value_range=self.value_range),),
            labels=RasterFile(path=classes, rules=ClassRules()),
            recoding=Recoding(legend=legend, table=_codes_by_name(record, legend), others="ignore"),
        )
        inside = PolygonFile(path=edited, must_meet="nothing", areas=True)
        (scene,) = open_items(self, [item], block_cache(self), inside=inside)
        return weighted(self, self._windows(scene, edited, split), f"{self.name}, held out")

    def _windows(self, scene: FileScene, edited: Path, split: Split) -> list[tuple[FileScene, Window]]:
        cells = Cells(scene.shape, self.cell_px)
        request = VectorRequest(
            name=str(edited), grid=scene.geobox, of_grid="image", must_meet="nothing", others="leave out"
        )
        touched = cells.touched(scene.geobox, read_polygons(request).geometry.to_list())
        held = np.zeros_like(touched)
        if self.validate_share is not None:
            held = touched & cells.drawn(self.validate_share, self.seed, scene.name)
        if split == "validate":
            return [(scene, cells.window(cell)) for cell in disjoint(held)]
        ground = Ground(
            [cells.window(cell) for cell in disjoint(held)], [cells.window(cell) for cell in covering(touched & ~held)]
        )
        parts = training_windows([scene], [ground], self.guard_px)
        if not parts:
            raise UsageError(f"{self.name}: no edited cell is left for training. Lower guard_px or validate_share.")
        return parts

    def _image(self, folder: Path, record: dict[str, Any]) -> Path:
        if self.image is not None:
            return folder / self.folder / self.image
        if "subdataset" in record["scene"]:
            cause = f"was made from subdataset {record['scene']['subdataset']} of {record['scene']['uri']}"
            raise UsageError(f"{self.name}: its map {cause}. Write that as a GeoTIFF, and name it as image.")
        if "service" in record["scene"]:
            raise UsageError(f"{self.name}: its map was made from a service. Write the imagery as a GeoTIFF.")
        return Path(str(record["scene"]["uri"]))

    def _refuse_unsaved(self, path: Path) -> None:
        """Refuse a map without edits, or with edits that its layers do not show.

        Raises:
            UsageError: so it is.
        """
        log = read_log(path)
        if not log.active:
            raise UsageError(f"{path}: holds no corrections by hand. Give the folder of a corrected map.")
        if log.pending:
            raise UsageError(f"{path}: {len(log.pending)} edits are not saved. Run geoseg edit save {path.parent}.")


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        usable = isinstance(record["files"], dict) and record["classes"] and record["scene"]["uri"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SceneError(str(path), f"it is no run record: {error}.", "Give the folder of a scene's layers.") from error
    if not usable:
        raise SceneError(str(path), "it is no run record.", "Give the folder of a scene's layers.")
    return record


def _codes_by_name(record: dict[str, Any], legend: Legend) -> dict[int, int | None]:
    """Map the codes of a map to those of a recipe, by the names of classes.

    Raises:
        UsageError: no class of the map is in the recipe.
    """
    ours = {entry.name: entry.code for entry in legend.classes}
    table = {int(entry["code"]): ours.get(str(entry["name"])) for entry in record["classes"]}
    if all(code is None for code in table.values()):
        names = ", ".join(str(entry["name"]) for entry in record["classes"])
        raise UsageError(f"no class of the map ({names}) is in the recipe, which has {', '.join(legend.names)}.")
    return table
