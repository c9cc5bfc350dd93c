"""A model that was put to a place has an item of STAC's extension MLM beside it."""

import hashlib
from pathlib import Path

import pystac
from conftest import LEGEND
from stac_rules import validate

from geoseg.io.files.place import Place
from geoseg.models.exchange import push_model


def test_its_item_is_valid_and_leads_to_the_file(tiny_model: Path, tmp_path: Path) -> None:
    _, described = push_model(str(tiny_model), Place(str(tmp_path / "shared models"), allow_remote=False))
    item = pystac.Item.from_file(tmp_path / "shared models" / "tiny-1.stac.json")
    assert validate(item) == 1
    asset = item.assets["model"]
    file = Path(asset.get_absolute_href())
    assert file.name == described.file
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest == described.sha256
    assert asset.extra_fields["file:checksum"] == f"1220{digest}"
    assert item.properties["mlm:name"] == "tiny"
    (output,) = item.properties["mlm:output"]
    assert [entry["name"] for entry in output["classification:classes"]] == list(LEGEND.names)
