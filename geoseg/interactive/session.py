"""ClickSession: answers clicks and boxes on a scene with masks, each on a window of the scene's own pixels."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage

from geoseg.core.choices import ClickMethod
from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.interactive.clicks import Click
from geoseg.interactive.model import ClickModel
from geoseg.interactive.outline import outline
from geoseg.interactive.pixels import MOST_PX, covering, own_pixels, read_window, surroundings
from geoseg.interactive.predictor import Predictor, PredictorSettings
from geoseg.interactive.zoom import zoom_for

if TYPE_CHECKING:
    from affine import Affine
    from shapely import MultiPolygon, Polygon

    from geoseg.io.raster.scene import Scene

    Outline = Polygon | MultiPolygon

ScenePoint = tuple[float, float, bool]
"""x, y in the scene's CRS, and True for a click on the object."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top in the scene's CRS."""

_OUTSIDE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractiveMask:
    """The answer to clicks.

    Attributes:
        mask: (y, x) bool over ``window``.
        probability: (y, x) float32 over ``window``.
        window: of the scene.
        transform: from columns and rows of ``mask`` to the scene's CRS.
        crs: the scene's CRS, or None.
        polygon: outline of the mask along the pixels' edges, in the scene's CRS; None where the mask is empty.
        clicks: those that were answered, those that a box stands for included.
    """

    mask: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.float32]
    window: Window
    transform: Affine
    crs: Any
    polygon: Outline | None
    clicks: tuple[ScenePoint, ...]


class ClickSession:
    """Answers clicks on one scene with one model. Holds no state between answers, and serves one at a time.

    Args:
        scene: an open scene.
        model: see ``geoseg.interactive.model.load_click_model``.
        method: how answers are made to agree with the clicks; ``plain`` is the fastest.
        spec: overrides of bands and value range, as for a prediction.

    Raises:
        MatchError: the scene lacks bands that the model needs, or its values have no known scale.

    Example:
        >>> with open_scene("scene.tif") as scene:  # doctest: +SKIP
        ...     session = ClickSession(scene, load_click_model("clicks"))
        ...     first = session.predict([(x, y, True)])
        ...     better = session.predict([(x, y, True), (x2, y2, False)], previous=first)
    """

    def __init__(
        self, scene: Scene, model: ClickModel, *, method: ClickMethod = "f-brs-c", spec: PredictSpec | None = None
    ) -> None:
        self.scene = scene
        self.model = model
        self._plan = own_pixels(scene, model.card, spec)
        self._settings = PredictorSettings(method=method, zoom=zoom_for(model.card.tile_px))
        self._transform: Affine = scene.geobox.transform
        self._extent = scene.extent
        self._answering = threading.Lock()

    def predict(
        self,
        clicks: Sequence[ScenePoint],
        box: Box | None = None,
        previous: InteractiveMask | Outline | None = None,
    ) -> InteractiveMask:
        """Answer clicks with the mask of an object.

        Args:
            clicks: all clicks on the object so far, in their order.
            box: a rectangle around the object. It is answered as a click at its middle, if no click is positive, and
                one off each of its corners; the network sees its surroundings, and nothing outside of it is answered.
            previous: the last answer, or the outline of an object of a map in the scene's CRS. The network sees its
                surroundings; if no click is positive, its inmost point is clicked on.

        Raises:
            UsageError: nothing is clicked on, or the clicks or the box lie outside the scene or too far apart.
            SceneError: the scene is damaged there.
        """
        points = self._on_pixels(clicks)
        corners = None if box is None else self._corners(box)
        shape = previous.polygon if isinstance(previous, InteractiveMask) else previous
        if not any(click.positive for click in points):
            middle = self._middle(corners, shape)
            points = [*([] if middle is None else [middle]), *points]
        if not any(click.positive for click in points):
            raise UsageError("click on the object first: no click is positive, and there is no box or earlier answer.")
        if corners is not None:
            points += _off_corners(corners, self._extent)
        window = self._window(points, corners, shape)
        pixels, valid = read_window(self.scene, self._plan, window)
        local = [Click(c.row - window.row_start, c.col - window.col_start, c.positive) for c in points]
        prior = self._prior(window, corners, previous)
        with self._answering:
            predictor = Predictor(self.model.network, pixels, self._zoomed(prior), last=prior)
            if prior is None and len(local) > 1:
                predictor.predict(local[:1])
            probability = predictor.predict(local)
        probability = np.where(valid, probability, 0).astype(np.float32)
        if corners is not None:
            probability *= _inside(corners, window)
        mask = _clicked_parts(probability > self._settings.brs.threshold, local)
        transform = self._transform * self._transform.translation(window.col_start, window.row_start)
        return InteractiveMask(
            mask=mask,
            probability=probability,
            window=window,
            transform=transform,
            crs=self.scene.geobox.crs,
            polygon=outline(mask, transform),
            clicks=tuple((*(self._transform * (c.col + 0.5, c.row + 0.5)), c.positive) for c in points),
        )

    def _on_pixels(self, clicks: Sequence[ScenePoint]) -> list[Click]:
        back = ~self._transform
        points = []
        for x, y, positive in clicks:
            col, row = back * (float(x), float(y))
            height, width = self._extent.shape
            if not (math.isfinite(col) and math.isfinite(row) and 0 <= row < height and 0 <= col < width):
                raise UsageError(f"the click at {x:.10g}, {y:.10g} lies outside of {self.scene.uri}.")
            points.append(Click(math.floor(row), math.floor(col), bool(positive)))
        return points

    def _corners(self, box: Box) -> Window:
        if not all(math.isfinite(side) for side in box):
            raise UsageError(f"the box {box} has a side that is no number.")
        corners = covering(self.scene, shapely.box(*box)).intersection(self._extent)
        if not corners.pixels:
            raise UsageError(f"the box {box} covers no pixel of {self.scene.uri}.")
        return corners

    def _middle(self, corners: Window | None, shape: Outline | None) -> Click | None:
        if corners is not None:
            return Click(
                (corners.row_start + corners.row_stop - 1) // 2, (corners.col_start + corners.col_stop - 1) // 2
            )
        if shape is None or shape.is_empty:
            return None
        inmost = shapely.maximum_inscribed_circle(shape)
        x, y = shapely.get_coordinates(inmost)[0]
        return self._on_pixels([(x, y, True)])[0]

    def _window(self, points: Sequence[Click], corners: Window | None, shape: Outline | None) -> Window:
        """Choose the window of an answer: what is clicked on with its surroundings, inside the scene."""
        wanted = [Window(int(c.row), int(c.row) + 1, int(c.col), int(c.col) + 1) for c in points]
        wanted += [] if corners is None else [corners]
        wanted += [] if shape is None or shape.is_empty else [covering(self.scene, shape).intersection(self._extent)]
        around = wanted[0]
        for one in wanted[1:]:
            around = around.union(one)
        if max(around.shape) > MOST_PX:
            raise UsageError(
                f"what is clicked on is {max(around.shape)} pixels long; at most {MOST_PX} are answered at once. "
                "Click on a smaller object."
            )
        return surroundings(around, self._extent)

    def _prior(
        self, window: Window, corners: Window | None, previous: InteractiveMask | Outline | None
    ) -> npt.NDArray[np.float32] | None:
        """Probabilities over the window that the zoom follows."""
        if corners is not None:
            return _inside(corners, window)
        if isinstance(previous, InteractiveMask):
            common = previous.window.intersection(window)
            known = np.zeros(window.shape, np.float32)
            known[common.within(window)] = previous.mask[common.within(previous.window)]
            return known if known.any() else None
        if previous is None or previous.is_empty:
            return None
        covered = covering(self.scene, previous).intersection(window)
        return _inside(covered, window) if covered.pixels else None

    def _zoomed(self, prior: npt.NDArray[np.float32] | None) -> PredictorSettings:
        zoom = self._settings.zoom
        if prior is None or zoom is None:
            return self._settings
        return replace(self._settings, zoom=replace(zoom, after=0))


def _inside(corners: Window, window: Window) -> npt.NDArray[np.float32]:
    """1 inside a rectangle, 0 elsewhere in a window."""
    marked = np.zeros(window.shape, np.float32)
    marked[corners.intersection(window).within(window)] = 1
    return marked


def _off_corners(corners: Window, extent: Window) -> list[Click]:
    """Negative clicks off the corners of a rectangle, where they are in the scene."""
    down, right = (max(2, round(_OUTSIDE * side)) for side in corners.shape)
    places = [
        (row, col)
        for row in (corners.row_start - down, corners.row_stop - 1 + down)
        for col in (corners.col_start - right, corners.col_stop - 1 + right)
    ]
    inside = [(r, c) for r, c in places if 0 <= r < extent.height and 0 <= c < extent.width]
    return [Click(row, col, positive=False) for row, col in inside]


def _clicked_parts(mask: npt.NDArray[np.bool_], clicks: Sequence[Click]) -> npt.NDArray[np.bool_]:
    """Keep the parts of a mask that a positive click hits; the whole mask where none does."""
    parts, _ = ndimage.label(mask)
    hit = {int(parts[int(c.row), int(c.col)]) for c in clicks if c.positive} - {0}
    return np.isin(parts, list(hit)) if hit else mask
