"""mmsegmentation: ``RSInferencer``, its sliding window over georeferenced images.

mmcv-lite has no compiled operators; mmsegmentation imports some for networks that are not used here, so their module
is replaced by an empty one. ``RSImage`` needs GDAL's Python bindings. Where they are missing, as they are wherever no
GDAL was compiled for them, images are read and written by rasterio in its place; queues, threads, windows and the
network's part are mmsegmentation's own.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import torch
from rasterio.windows import Window
from smp_network import arguments, report, unet


def _never(*_: object, **__: object) -> None:
    raise NotImplementedError("an operator of mmcv that is not installed")


class _NoOperators(ModuleType):
    """Stands for mmcv's compiled operators; none of them is called."""

    __spec__ = ModuleSpec("mmcv._ext", None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _never


sys.modules["mmcv._ext"] = _NoOperators("mmcv._ext")

from mmengine import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmseg.apis.remote_sense_inferencer import RSImage, RSInferencer, gdal  # noqa: E402
from mmseg.models.segmentors.base import BaseSegmentor  # noqa: E402

_PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}]
_SCALED = {"type": "SegDataPreProcessor", "mean": [0.0] * 3, "std": [255.0] * 3, "bgr_to_rgb": False}


class Segmentor(BaseSegmentor):
    """A network of segmentation-models-pytorch as a segmentor of mmsegmentation."""

    def __init__(self, network: torch.nn.Module, classes: int) -> None:
        super().__init__(data_preprocessor=_SCALED)
        self.network, self.num_classes, self.out_channels, self.align_corners = network, classes, classes, False
        self.cfg = Config({"test_pipeline": _PIPELINE})

    def predict(self, inputs: torch.Tensor, data_samples: Any = None) -> Any:
        """Return samples with the classes."""
        return self.postprocess_result(self.network(inputs), data_samples)

    def extract_feat(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.network(inputs)

    encode_decode = _forward = extract_feat

    def loss(self, inputs: torch.Tensor, data_samples: Any) -> Any:
        """Refuse to train."""
        raise NotImplementedError


class RasterioImage(RSImage):
    """``RSImage`` on rasterio: the windows are mmsegmentation's, reading and writing are not."""

    def __init__(self, path: Path) -> None:
        self.file = rasterio.open(path)
        self.width, self.height, self.channel = self.file.width, self.file.height, self.file.count
        self.grids: list[list[int]] = []

    def read(self, grid: list[int] | None = None) -> npt.NDArray[np.uint8]:
        """Read a window as (y, x, band)."""
        window = None if grid is None else Window(*grid[:4])
        return np.einsum("ijk->jki", self.file.read(window=window))

    def write(self, data: npt.NDArray[np.int64], grid: list[int]) -> None:
        """Write the inner part of a window."""
        x, y, _, _, left, top, width, height = grid
        inner = data[top : top + height, left : left + width].astype(np.uint8)
        self.file.write(inner, 1, window=Window(x + left, y + top, inner.shape[1], inner.shape[0]))

    def create_seg_map(self, output_path: str | None = None) -> RasterioImage:
        """Make the file of classes: one uncompressed band, as by GDAL's defaults."""
        place = {"crs": self.file.crs, "transform": self.file.transform, "width": self.width, "height": self.height}
        target = RasterioImage.__new__(RasterioImage)
        target.file = rasterio.open(output_path, "w", driver="GTiff", count=1, dtype="uint8", **place)
        return target

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def main() -> None:
    """Run ``RSInferencer`` in its default form: one window at a time, one thread for the network."""
    options = arguments(__doc__)
    init_default_scope("mmseg")
    inferencer = RSInferencer.from_model(Segmentor(unet(options.classes, options.weights), options.classes).eval())
    image = RSImage(str(options.scene)) if gdal is not None else RasterioImage(options.scene)
    targets = []
    created = image.create_seg_map
    image.create_seg_map = lambda path=None: targets.append(created(path)) or targets[-1]
    side = options.tile_px or 512
    stride = side - options.overlap_px if options.overlap_px else 0
    inferencer.run(image, (side, side), (stride, stride), output_path=str(options.out))
    for target in targets:
        if gdal is None:
            target.close()
        else:
            target.dataset.FlushCache()
    read_by = "rasterio" if gdal is None else "GDAL"
    settings = {"window_size": side, "stride": stride or side, "images_by": read_by}
    report("mmsegmentation", "mmengine", "mmcv-lite", "segmentation-models-pytorch", **settings)


if __name__ == "__main__":
    main()
