"""A Sentinel-2 product is read by resolution, from its folder, its metadata or its zip, and from nowhere else."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from geoseg.cli.arguments.sources import expand
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.scene import open_scene
from geoseg.io.raster.scene_parts import subdatasets_of

TITLE = "S2A_MSIL2A_20240501T101021_N0510_R022_T32UPU_20240501T150000"
GRANULE = "GRANULE/L2A_T32UPU_A046000_20240501T101021"
SIDES = {"10m": 32, "20m": 16, "60m": 8}
BANDS = {"10m": ("B02", "B03", "B04", "B08"), "20m": ("B02", "B05", "B8A", "B11"), "60m": ("B01", "B09")}
METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info><Product_Organisation><Granule_List><Granule granuleIdentifier="g">
{images}</Granule></Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>
<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST></Product_Image_Characteristics>
</n1:General_Info></n1:Level-2A_User_Product>"""


def values_of(group: str, band: str) -> np.ndarray:
    side = SIDES[group]
    return np.arange(side * side, dtype=np.uint16).reshape(side, side) + 100 * BANDS[group].index(band) + 1


def write_metadata(folder: Path, names: list[str]) -> None:
    images = "".join(f"<IMAGE_FILE>{name}</IMAGE_FILE>\n" for name in names)
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{number}">-1000</BOA_ADD_OFFSET>' for number in range(13))
    (folder / "MTD_MSIL2A.xml").write_text(METADATA.format(images=images, offsets=offsets))


def write_image(path: Path, values: np.ndarray, gsd_m: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile: dict[str, Any] = {"driver": "JP2OpenJPEG", "count": len(values), "dtype": values.dtype}
    profile |= {"height": values.shape[1], "width": values.shape[2], "QUALITY": "100", "REVERSIBLE": "YES"}
    profile |= {"crs": "EPSG:32632", "transform": from_origin(600_000, 5_400_000, gsd_m, gsd_m)}
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safe") / f"{TITLE}.SAFE"
    names = []
    for group, bands in BANDS.items():
        for band in bands:
            names.append(f"{GRANULE}/IMG_DATA/R{group}/T32UPU_20240501T101021_{band}_{group}")
            write_image(folder / f"{names[-1]}.jp2", values_of(group, band)[None], float(group[:2]))
    for other in ("AOT_10m", "SCL_20m"):  # products that are no reflectance
        names.append(f"{GRANULE}/IMG_DATA/R{other[-3:]}/T32UPU_20240501T101021_{other}")
        write_image(folder / f"{names[-1]}.jp2", np.ones((1, 8, 8), np.uint16), 60)
    names.append(f"{GRANULE}/IMG_DATA/R10m/T32UPU_20240501T101021_TCI_10m")
    write_image(folder / f"{names[-1]}.jp2", np.full((3, 32, 32), 9, np.uint8), 10)
    write_metadata(folder, names)
    return folder


@pytest.fixture
def product(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def zipped(product: Path) -> Path:
    return Path(shutil.make_archive(str(product.parent / "download"), "zip", product.parent, product.name))


FORMS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda product: product,
    "metadata": lambda product: product / "MTD_MSIL2A.xml",
    "zip": zipped,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_bands_of_a_resolution(form: str, product: Path) -> None:
    path = FORMS[form](product)
    assert [one.name for one in subdatasets_of(str(path))] == ["10m", "20m", "60m", "TCI"]
    for group, bands in BANDS.items():
        with pickle.loads(pickle.dumps(open_scene(path, subdataset=group))) as scene:  # noqa: S301 - its own
            whole = scene.read(scene.extent)
            np.testing.assert_array_equal(whole.values, np.stack([values_of(group, band) for band in bands]))
            assert (scene.stem, scene.driver, scene.subdataset) == (f"{TITLE}_{group}", "SENTINEL2", group)
            assert {(band.scale, band.offset) for band in scene.bands} == {(1 / 10000, -0.1)}
            assert scene.geobox.transform.a == float(group[:2])
            assert (scene.nodata, scene.remote) == (0, False)
    with open_scene(path, subdataset="10m") as ten, open_scene(path, subdataset="2") as twenty:
        assert [band.name for band in ten.bands] == ["blue", "green", "red", "nir"]
        assert [band.name for band in twenty.bands] == ["blue", "rededge071", "nir08", "swir16"]
    with open_scene(path, subdataset="TCI") as colours:
        assert [band.name for band in colours.bands] == ["red", "green", "blue"]


def test_a_product_is_one_scene_of_its_folder(product: Path) -> None:
    assert expand([str(product)]) == [str(product)]
    with pytest.raises(UsageError, match=r"4 subdatasets.*1 10m \(B02, B03, B04, B08\)"):
        open_scene(product)
    with pytest.raises(UsageError, match="no subdataset is called 'SENTINEL2_L2A"):
        open_scene(product, subdataset=f"SENTINEL2_L2A:{product}/MTD_MSIL2A.xml:10m:EPSG_32632")


def test_a_changed_band_changes_the_digest_and_another_resolution_has_another_one(product: Path) -> None:
    with open_scene(product, subdataset="10m") as scene, open_scene(product, subdataset="20m") as other:
        before = scene.digest()
        assert before != other.digest()
        path = next(product.rglob("*B04_10m.jp2"))
        write_image(path, values_of("10m", "B04")[None] + 1, 10)
        assert scene.changed()
    with open_scene(product, subdataset="10m") as scene:
        assert scene.digest() != before


@pytest.mark.parametrize(
    "name",
    ["../../secret_B02_10m", "/etc/secret_B02_10m", "GRANULE/../../secret_B02_10m", "http://127.0.0.1:9/a_B02_10m"],
)
@pytest.mark.parametrize("form", FORMS)
def test_an_image_outside_of_the_product_is_refused(form: str, name: str, product: Path) -> None:
    write_image(product.parent / "secret_B02_10m.jp2", np.ones((1, 8, 8), np.uint16), 10)
    write_metadata(product, [name])
    with pytest.raises(SceneError, match="is no file of the product"):
        open_scene(FORMS[form](product), subdataset="10m")


def test_a_link_out_of_the_product_is_refused(product: Path) -> None:
    write_image(product.parent / "secret.jp2", np.ones((1, 8, 8), np.uint16), 10)
    path = next(product.rglob("*B04_10m.jp2"))
    path.unlink()
    path.symlink_to(product.parent / "secret.jp2")
    with pytest.raises(SceneError, match="is no file of the product"):
        open_scene(product, subdataset="10m")


@pytest.mark.parametrize("form", FORMS)
def test_an_image_that_is_none_is_refused(form: str, product: Path) -> None:
    next(product.rglob("*B04_10m.jp2")).write_text(
        "<VRTDataset><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>"
    )
    with pytest.raises(SceneError, match="JPEG 2000"):
        open_scene(FORMS[form](product), subdataset="10m")


def test_damaged_products_are_refused_in_words(product: Path, tmp_path: Path) -> None:
    metadata = product / "MTD_MSIL2A.xml"
    good = metadata.read_text()
    for text, words in (
        ("<a/>", "not that of a Sentinel-2 product"),
        (good[:200], "not that of a Sentinel-2 product"),
        (f"<!DOCTYPE a [<!ENTITY b 'c'>]>{good[good.find('<n1:') :]}", "not that of a Sentinel-2 product"),
        (good.replace("IMAGE_FILE", "X"), "names no image"),
        (good.replace("</Granule>", "<IMAGE_FILE>GRANULE/other/x_B02_10m</IMAGE_FILE></Granule>"), "several granules"),
    ):
        metadata.write_text(text)
        with pytest.raises(SceneError, match=words):
            open_scene(product, subdataset="10m")
    metadata.write_text(good)
    content = zipped(product).read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(SceneError, match="zip archive"):
        open_scene(tmp_path / "cut.zip", subdataset="10m")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(SceneError, match="a zip archive"):
        open_scene(tmp_path / "other.zip")
