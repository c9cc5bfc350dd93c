"""Source: one opened raster file, checked, read under a lock."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.checksums import verify_multihash
from geoseg.io.files.drivers import READ_CACHE_BYTES, first_bytes, gdal_address, gdal_settings, is_plain_file, sniff
from geoseg.io.files.gdal_messages import gdal_messages, suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.objects.access import CREDENTIALS_CURE, is_s3
from geoseg.io.raster.bands import alpha_bands
from geoseg.io.raster.georeference import Georeference, georeference, is_complete, sidecars
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.raster_file import RasterFile
from geoseg.io.raster.sidecar import BandFacts, read_sidecar

_MAX_NOTES, _NOTE_CHARACTERS = 20, 300
_SATELLITE_TAGS = (
    *("satellite", "satellite_name", "platform", "platform_name", "constellation", "mission"),
    *("spacecraft", "spacecraft_id", "spacecraft_name", "product_uri"),
)
_LOOK_PX, _LOOK_BYTES, _SHARE_OF_AN_IMAGE = 256, 32 * 2**20, 0.25
JPEG_DAMAGE = re.compile(r"Premature end of JPEG|Corrupt JPEG data: (?![1-9] extraneous bytes)")
"""Warnings of libjpeg, after which pixels are made up; a few bytes too many are skipped and harm nothing."""


class Source:
    """One raster file of a scene. Thread-safe: one dataset under one lock, so no block is decoded twice.

    Attributes:
        uri: name for messages.
        grid: its georeference.
        indexes: 1-based data bands, alpha left out.
        dtype: data type of all data bands.
        colours: colour interpretation of every band, as rasterio names it, lower case.
        satellite: metadata that may name the satellite.
        facts: nodata, scale, offset and description of every band, from the file or its sidecar.
        block_shape: rows and columns of a tile or strip.
        masked: True if it has a mask or alpha band.
        files: all local files of the pixels and the grid.
    """

    def __init__(self, uri: str, file: RasterFile, options: OpenOptions) -> None:
        self.uri = uri
        self._lock, self._verifying = threading.Lock(), threading.Lock()
        self._file, self._verified = file, not file.multihash or file.path is None
        self._documents = file.documents
        with _damage_refused(uri), gdal_messages() as messages, gdal_settings(), ExitStack() as closing:
            self.dataset, self.files, notes, said = _opened(uri, file)
            closing.callback(self.dataset.close)
            self._refuse_too_many_bands(options)
            self._describe(options, said, file.names)
            self.dtype = self._one_dtype(palette_codes=options.palette_codes)
            self._refuse_oversize(options)
            self.grid: Georeference = georeference(
                uri,
                self.dataset,
                None if file.address else file.path,
                options.assume_crs,
                unplaced=options.unplaced,
                assume_gsd_m=options.assume_gsd_m,
            )
            self.block_shape: tuple[int, int] = tuple(self.dataset.block_shapes[self.indexes[0] - 1])
            flags = self.dataset.mask_flag_enums[self.indexes[0] - 1]
            closing.pop_all()
        self.files += self.grid.files
        self._mask_band = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
        self.masked = bool(self._alphas) or self._mask_band
        # One strip of every band has to fit, or reading band after band would decode it again for each window.
        self._cache_bytes = max(READ_CACHE_BYTES, self._block_bytes() * 5 // 4)
        self._notes = notes + self._page_notes() + self.grid.notes + self._alpha_notes(options)
        self._hear(messages)
        self._jpeg_damage: str | None = None
        self._look_at_alpha = bool(self._alphas) and options.alpha == "auto" and file.path is not None

    def _describe(self, options: OpenOptions, said: Mapping[int, BandFacts], names: tuple[str | None, ...]) -> None:
        """Read the band metadata from GDAL and the sidecar."""
        dataset = self.dataset
        self.colours: tuple[str, ...] = tuple(colour.name.lower() for colour in dataset.colorinterp)
        asked = zip(dataset.nodatavals, dataset.scales, dataset.offsets, dataset.descriptions, strict=True)
        self.facts = tuple(
            BandFacts(
                nodata=nodata if beside.nodata is None else beside.nodata,
                scale=scale if beside.scale is None else beside.scale,
                offset=offset if beside.offset is None else beside.offset,
                description=beside.description or description,
            )
            for beside, (nodata, scale, offset, description) in zip(
                (said.get(index, BandFacts()) for index in dataset.indexes), asked, strict=True
            )
        )
        tags = {key.lower(): value for key, value in dataset.tags().items()}
        self.satellite = " ".join(str(tags[key])[:80] for key in _SATELLITE_TAGS if key in tags)
        given = names if len(names) == dataset.count else (None,) * dataset.count
        self._words = [name or band.description for name, band in zip(given, self.facts, strict=True)]
        self._alphas = alpha_bands(self.colours, self._words, options.alpha)
        if options.alpha == "yes" and not self._alphas:
            raise UsageError(f"{self.uri}: --alpha yes, but it has one band, which is its data.")
        self.indexes: tuple[int, ...] = tuple(i for i in dataset.indexes if i not in self._alphas)

    @property
    def alphas(self) -> tuple[int, ...]:
        """1-based alpha bands."""
        return self._alphas

    def _alpha_notes(self, options: OpenOptions) -> tuple[str, ...]:
        if options.alpha != "auto":
            return ()
        return tuple(
            f"band {index} is tagged as alpha but described as {self._words[index - 1]}: read as data"
            for index, colour in enumerate(self.colours, start=1)
            if colour == "alpha" and index not in self._alphas
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, including GDAL warnings so far."""
        if self._look_at_alpha:
            self._look_at_alpha = False
            self._notes += self._doubtful_alpha()
        return self._notes

    def _page_notes(self) -> tuple[str, ...]:
        """Note that a TIFF holds several images, of which only the first is read."""
        pages = len(self.dataset.subdatasets) if self.dataset.driver == "GTiff" else 0
        return (
            (f"it holds {pages} images and the first is read; pass --subdataset 2 for the second",) if pages > 1 else ()
        )

    def _doubtful_alpha(self) -> tuple[str, ...]:
        """Sample the middle of an alpha band and note if it looks like data: real alpha is mostly 0 or full."""
        if self.dataset.closed or self._block_bytes() > _LOOK_BYTES:
            return ()
        height, width = self.dataset.shape
        rows, cols = (max(0, side // 2 - _LOOK_PX // 2) for side in (height, width))
        try:
            with self._lock, gdal_messages() as messages, gdal_settings(cache_bytes=self._cache_bytes):
                window = RasterioWindow(cols, rows, min(_LOOK_PX, width), min(_LOOK_PX, height))
                middle = self.dataset.read(self._alphas[0], window=window)
                self._listen_for_damage(messages)  # GDAL keeps what it decoded, and does not warn again
        except RasterioError:  # the read of these pixels will say so
            return ()
        if np.mean((middle != 0) & (middle != middle.max())) < _SHARE_OF_AN_IMAGE:
            return ()
        note = (
            f"band {self._alphas[0]} is tagged as alpha, so pixels where it is 0 have no answer; but it varies as an "
            "image does: pass --alpha no if it is data"
        )
        return (note,)

    def _hear(self, messages: Sequence[str]) -> None:
        """Add GDAL warnings to the notes, without duplicates."""
        new = [f"GDAL warns: {message[:_NOTE_CHARACTERS]}" for message in messages]
        fresh = [note for note in dict.fromkeys(new) if note not in self._notes]
        self._notes += tuple(fresh[: max(0, _MAX_NOTES - len(self._notes))])

    def _block_bytes(self) -> int:
        dataset = self.dataset
        return sum(r * c * np.dtype(t).itemsize for (r, c), t in zip(dataset.block_shapes, dataset.dtypes, strict=True))

    def _refuse_too_many_bands(self, options: OpenOptions) -> None:
        count = self.dataset.count
        if count > options.max_bands:
            raise SceneError(
                self.uri,
                f"it has {count} bands, the limit is {options.max_bands}.",
                "Take some: gdal_translate -b 1 -b 2 -b 3 IN OUT.tif; or open_scene(..., max_bands=N) in Python.",
            )

    def _refuse_oversize(self, options: OpenOptions) -> None:
        dataset = self.dataset
        pixels = dataset.height * dataset.width
        if pixels >= options.max_pixels:
            size = f"{dataset.height} x {dataset.width} px are {pixels / 1e9:.3g} Gpx"
            raise SceneError(self.uri, f"{size}, the limit is {options.max_pixels / 1e9:.3g}.", "Pass --max-mpx N.")
        if self._block_bytes() > options.max_block_bytes:
            rows, cols = dataset.block_shapes[0]
            raise SceneError(
                self.uri,
                f"one block of {rows} x {cols} px decodes to {self._block_bytes() / 2**20:.0f} MiB, "
                f"the limit is {options.max_block_bytes / 2**20:.0f}.",
                "Tile it: gdal_translate -co TILED=YES IN OUT.tif.",
            )

    def _one_dtype(self, *, palette_codes: bool) -> AnyDtype:
        if not self.indexes:
            raise SceneError(self.uri, "it has an alpha band and no data.", "Give an image.")
        dtypes = self.dataset.dtypes
        names = [dtypes[i - 1] for i in self.indexes]
        if any("complex" in name for name in names):
            raise SceneError(self.uri, f"its values are complex ({names[0]}).", "Give amplitude or intensity.")
        if len(set(names)) > 1:
            raise SceneError(self.uri, f"its bands differ in type: {', '.join(names)}.", "Convert them to one.")
        colours = {self.colours[i - 1] for i in self.indexes}
        if "palette" in colours and not palette_codes:
            raise SceneError(
                self.uri, "its values are indices of a palette, not colours.", "Expand it: gdal_translate -expand rgb."
            )
        if "cyan" in colours:
            raise SceneError(self.uri, "its colours are CMYK.", "Convert it to RGB.")
        dtype: AnyDtype = np.dtype(names[0])
        return dtype

    def verify(self) -> None:
        """Compare the file with the checksum that its STAC item tells, once; it must come before pixels are used.

        Raises:
            SceneError: its content is another one.
        """
        if self._verified:
            return
        with self._verifying:
            if not self._verified and self._file.path is not None:
                verify_multihash(self.uri, self._file.path, self._file.multihash)
                self._verified = True

    def read(self, window: Window, indexes: Sequence[int]) -> tuple[AnyArray, npt.NDArray[np.bool_] | None]:
        """Decode a window.

        Args:
            window: inside the file.
            indexes: 1-based bands.

        Returns:
            Values (band, y, x) and, if the file has a mask or alpha band, its validity mask (y, x); else None.

        Raises:
            SceneError: a block is damaged or missing, or libjpeg made up a part of it, of which GDAL only warns; the
                reason and the place are in the message. Or the file has another checksum than its STAC item tells.
        """
        self.verify()
        at = RasterioWindow(window.col_start, window.row_start, window.width, window.height)
        with self._lock, gdal_messages() as messages, gdal_settings(cache_bytes=self._cache_bytes):
            try:
                values = self.dataset.read(list(indexes), window=at)
                allowed = None
                if self._alphas:
                    allowed = (self.dataset.read(list(self._alphas), window=at) > 0).all(axis=0)
                if self._mask_band:
                    mask = self.dataset.read_masks(indexes[0], window=at) > 0
                    allowed = mask if allowed is None else allowed & mask
            except RasterioError as error:
                raise self._damaged(window, reason(error)) from error
            self._listen_for_damage(messages)
            if self._jpeg_damage is not None:
                raise self._damaged(window, self._jpeg_damage)
            self._hear(messages)
        return values, allowed

    def _listen_for_damage(self, messages: Sequence[str]) -> None:
        """Keep the first warning that pixels of this file were made up."""
        lost = next(filter(JPEG_DAMAGE.search, messages), None)
        if lost is not None and self._jpeg_damage is None:
            self._jpeg_damage = lost.partition(":")[2] or lost

    def _damaged(self, window: Window, why: str) -> SceneError:
        return SceneError(
            self.uri,
            f"rows {window.row_start}-{window.row_stop}, columns {window.col_start}-{window.col_stop} "
            f"cannot be decoded ({why}).",
            "The file is damaged or cut short: download or copy it again.",
        )

    def close(self) -> None:
        """Close the dataset."""
        with self._lock, gdal_messages(), gdal_settings():
            self.dataset.close()
            if self._documents is not None:
                self._documents.close()


@contextmanager
def _damage_refused(uri: str) -> Iterator[None]:
    """Refuse a file whose metadata GDAL or rasterio fails on: keys of unknown kind, texts that are no UTF-8."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        raise SceneError(
            uri, f"its metadata is damaged ({reason(error)}).", "Download or export it again, or gdal_translate it."
        ) from error


def reason(error: BaseException) -> str:
    """Return GDAL's own message, which rasterio keeps in the chain of causes."""
    words: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = " ".join(str(getattr(seen, "errmsg", seen)).split())
        if text and not text.startswith("Read failed. See previous exception") and text not in words:
            words.append(text)
        seen = seen.__cause__
    return "; ".join(words) or "no reason given"


def _rasterio_open(uri: str, name: str | Path, driver: str) -> Any:
    with suppress_gdal_messages():
        try:
            return rasterio.open(gdal_name(name) if isinstance(name, Path) else gdal_address(name), driver=driver)
        except RasterioError as error:
            cure = CREDENTIALS_CURE if is_s3(uri) else "Download or export it again."
            raise SceneError(uri, f"it cannot be opened ({reason(error)}).", cure) from error


def _mask_file(uri: str, path: Path | None) -> tuple[str, ...]:
    """Find an external mask. GDAL would open it with any driver, so files other than TIFF are refused."""
    if path is None:
        return ()
    for name in (path.with_name(path.name + ".msk"), path.with_name(path.name + ".MSK")):
        if is_plain_file(name):
            driver, kind = sniff(first_bytes(uri, name))
            if driver != "GTiff":
                raise SceneError(uri, f"its mask {name.name} is not a TIFF (found: {kind}).", "Remove it.")
            return (str(name),)
    return ()


def _opened(uri: str, file: RasterFile) -> tuple[Any, tuple[str, ...], tuple[str, ...], Mapping[int, BandFacts]]:
    """Open a file so that its own georeference has priority; sidecars are used only if it has none.

    Returns:
        The dataset, its local files, notes, and the band metadata of a sidecar that GDAL did not read.
    """
    path, driver, documents = file.path, file.driver, file.documents
    if file.address:
        return _inside(uri, file)
    mask = _mask_file(uri, path)
    if documents is not None:
        if mask:
            cure = "Make a GeoTIFF of both: gdal_translate IN.vrt OUT.tif."
            raise SceneError(uri, f"the mask {Path(mask[0]).name} of a VRT is not read.", cure)
        return _rasterio_open(uri, documents.name, "VRT"), documents.files, (), {}
    with gdal_settings(mask_file=bool(mask)):
        dataset = _rasterio_open(uri, path or uri, driver)
    if path is None:
        return dataset, (), (), {}
    files = (str(path), *mask)
    beside = sidecars(path, driver)
    if not beside:
        return dataset, files, (), {}
    names = ", ".join(name.name for name in beside)
    if is_complete(dataset):
        notes = (f"{names}: ignored, because the file has a georeference of its own",)
        sidecar, said = read_sidecar(path)
        return dataset, files if sidecar is None else (*files, str(sidecar)), notes + _said_notes(sidecar, said), said
    dataset.close()
    with gdal_settings(sidecars=True):
        dataset = _rasterio_open(uri, path, driver)
    return dataset, (*files, *map(str, beside)), (f"georeferenced with {names}",), {}


def _inside(uri: str, file: RasterFile) -> tuple[Any, tuple[str, ...], tuple[str, ...], Mapping[int, BandFacts]]:
    """Open a subdataset, or a file inside a zip; see ``_opened``."""
    dataset = _rasterio_open(uri, file.address, file.driver)
    if file.path is not None and {Path(name).resolve() for name in dataset.files} - {file.path.resolve()}:
        dataset.close()
        raise SceneError(uri, "its subdataset is made of other files.", "Give these.")
    own = {1: BandFacts(description=file.title)} if file.title and dataset.count == 1 else {}
    return dataset, () if file.path is None else (str(file.path),), (), own


def _said_notes(sidecar: Path | None, said: Mapping[int, BandFacts]) -> tuple[str, ...]:
    nodata = dict.fromkeys(f"{band.nodata:g}" for band in said.values() if band.nodata is not None)
    if sidecar is None or not nodata:
        return ()
    return (f"nodata {', '.join(nodata)} is taken from {sidecar.name}",)
