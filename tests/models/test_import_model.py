"""A checkpoint becomes a model file that predicts as the source does, and its card says where it came from."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from geoseg.core.legend_presets import PRESETS
from geoseg.errors import ModelError, OutputError, UsageError
from geoseg.models.encoder_weights import NamedEncoder, load_encoder
from geoseg.models.import_model import ImportRequest, import_model
from geoseg.models.named_weights import is_name, local_file, look_up
from geoseg.models.network import load_network
from geoseg.nn import build
from geoseg.nn.zoo.pretrained import adapt_bands

NETWORK = "torchvision_lraspp_mobilenet_v3_large"


def lraspp(classes: int = 3) -> torch.nn.Module:
    models = pytest.importorskip("torchvision").models.segmentation
    torch.manual_seed(0)
    network: torch.nn.Module = models.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=classes
    ).eval()
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    network = lraspp()
    path = tmp_path_factory.mktemp("published") / "My Weights.v1.pth"
    meta = {"CLASSES": ("ground", "roof", "water"), "PALETTE": [[1, 2, 3], [255, 0, 0], [0, 0, 255]]}
    torch.save({"state_dict": network.state_dict(), "meta": meta}, path)
    return path, network


def test_the_model_file_answers_as_the_source_to_the_last_bit(
    checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    path, other = checkpoint
    model, card = import_model(path, NETWORK, tmp_path / "m.safetensors")
    network, stored = load_network(model)
    assert stored == card
    x = torch.randn(1, 3, 65, 90)
    with torch.inference_mode():
        assert torch.equal(network(x), other(x)["out"])


def test_the_card_says_where_the_weights_came_from(checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    path, _ = checkpoint
    _, card = import_model(path, NETWORK, tmp_path / "m.safetensors")
    imported = card.recipe["imported"]
    assert imported["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert imported["file"] == path.name
    assert imported["layout"] == "torchvision"
    assert card.name == "my-weights.v1"
    assert card.legend.names == ("ground", "roof", "water")
    assert card.legend.classes[1].colour == "#ff0000"
    assert card.band_names == ("red", "green", "blue")
    assert [band.mean for band in card.bands] == [0.485, 0.456, 0.406]


def test_what_the_user_says_counts(checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path) -> None:
    path, other = checkpoint
    wanted = ImportRequest(
        name="mine", bands=("nir", "red", "green"), mean=(0.5,), std=(0.1, 0.2, 0.3), bgr=True, tile_px=256
    )
    model, card = import_model(path, NETWORK, tmp_path / "m.safetensors", request=wanted)
    assert (card.name, card.band_names, card.tile_px, card.halo_px) == ("mine", ("nir", "red", "green"), 256, 32)
    assert [(band.mean, band.std) for band in card.bands] == [(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)]
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(load_network(model)[0](x), other(x.flip(1))["out"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (ImportRequest(legend=PRESETS["voc"]), "the legend has 21 classes, the network 3"),
        (ImportRequest(bands=("red", "green")), "takes 3 bands, 2 are given"),
        (ImportRequest(mean=(0.5, 0.5)), "one number or 3 each"),
        (ImportRequest(gsd_m=(2.0, 1.0)), "the card cannot be made"),
        (ImportRequest(tile_px=0), "tile_px"),
        (ImportRequest(options={"colour": 1}), "its options are"),
    ],
)
def test_what_does_not_fit_is_refused(
    wanted: ImportRequest, words: str, checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    with pytest.raises((UsageError, ModelError), match=words):
        import_model(checkpoint[0], NETWORK, tmp_path / "m.safetensors", request=wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("palette", [[[1.0, 2.0, 3.0]] * 3, [[1, 2]] * 3, [[1, 2, 300]] * 3, ["red"] * 3, [7] * 3])
def test_a_palette_that_is_none_gives_way_to_the_usual_colours(
    palette: list[Any], checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    meta = {"CLASSES": ("ground", "roof", "water"), "PALETTE": palette}
    torch.save({"state_dict": checkpoint[1].state_dict(), "meta": meta}, tmp_path / "w.pth")
    _, card = import_model(tmp_path / "w.pth", NETWORK, tmp_path / "m.safetensors")
    assert card.legend.names == ("ground", "roof", "water")
    assert [entry.colour for entry in card.legend.classes] == ["#800000", "#008000", "#808000"]


@pytest.mark.parametrize("names", [("roof", "wall"), tuple("abcd"), {0: "roof", 1: "wall"}])
def test_another_number_of_class_names_asks_for_a_legend(
    names: Any, checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    torch.save({"state_dict": checkpoint[1].state_dict(), "meta": {"CLASSES": names}}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=rf"names {len(names)} classes .* the network has 3. Pass --legend"):
        import_model(tmp_path / "w.pth", NETWORK, tmp_path / "m.safetensors")


def test_class_names_by_code_are_taken_in_the_order_of_the_codes(
    checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    for coded in ({2: "water", 0: "ground", 1: "roof"}, {"0": "ground", "1": "roof", "2": "water"}):
        torch.save({"state_dict": checkpoint[1].state_dict(), "meta": {"CLASSES": coded}}, tmp_path / "w.pth")
        _, card = import_model(tmp_path / "w.pth", NETWORK, tmp_path / "m.safetensors", overwrite=True)
        assert card.legend.names == ("ground", "roof", "water")
    other = {1: "ground", 2: "roof", 3: "water"}
    torch.save({"state_dict": checkpoint[1].state_dict(), "meta": {"CLASSES": other}}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"codes 1, 2, 3, not 0, 1, 2 .* Pass --legend"):
        import_model(tmp_path / "w.pth", NETWORK, tmp_path / "n.safetensors")


@pytest.mark.parametrize("names", [("roof", "roof", "water"), ("", "roof", "water")])
def test_class_names_that_make_no_legend_ask_for_one(
    names: tuple[str, ...], checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    torch.save({"state_dict": checkpoint[1].state_dict(), "meta": {"CLASSES": names}}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"class names are blank or repeat .* Pass --legend"):
        import_model(tmp_path / "w.pth", NETWORK, tmp_path / "m.safetensors")


def test_a_file_is_replaced_only_when_asked_and_pinned_when_wanted(
    checkpoint: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        import_model(checkpoint[0], NETWORK, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="hash mismatch"):
        import_model(checkpoint[0], NETWORK, tmp_path / "m.safetensors", sha256="0" * 64, overwrite=True)
    assert (tmp_path / "m.safetensors").read_text() == "mine"
    import_model(checkpoint[0], NETWORK, tmp_path / "m.safetensors", overwrite=True)
    with pytest.raises(ModelError, match="is a geoseg model file already"):
        import_model(tmp_path / "m.safetensors", NETWORK, tmp_path / "again.safetensors")


def test_bands_centred_and_divided_in_the_source_are_so_on_the_card(tmp_path: Path) -> None:
    with np.load(Path(__file__).parents[1] / "nn" / "references" / "authors" / "guanfuchen_fcn_r18_32s.npz") as file:
        lines = [line.split() for line in str(file["tensors"]).splitlines()]
    torch.save({name: torch.full([int(side) for side in sides], 1e-3) for name, *sides in lines}, tmp_path / "fcn.pt")
    _, card = import_model(tmp_path / "fcn.pt", "fcn_r18", tmp_path / "m.safetensors")
    assert [band.name for band in card.bands] == ["red", "green", "blue"]
    pixel, mean_bgr = np.array([30.0, 120.0, 210.0]), np.array([104.00699, 116.66877, 122.67892])
    seen = [(value / 255 - band.mean) / band.std for value, band in zip(pixel, card.bands, strict=True)]
    np.testing.assert_allclose(seen, ((pixel[::-1] - mean_bgr) / 255)[::-1], atol=1e-6)


def test_weights_of_nan_are_refused(tmp_path: Path) -> None:
    network = lraspp()
    state = network.state_dict()
    state["classifier.low_classifier.weight"].fill_(np.nan)
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="NaN"):
        import_model(tmp_path / "c.pth", NETWORK, tmp_path / "m.safetensors")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's hub."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


class _Weights:
    def __init__(self, url: str, meta: dict[str, Any]) -> None:
        self.url = url
        self.meta = meta


def published(monkeypatch: pytest.MonkeyPatch, module: str, weights: dict[str, _Weights]) -> None:
    """Let a library publish local files."""
    stub = types.ModuleType(module)

    def get_weight(name: str) -> _Weights:
        return weights[name]

    stub.get_weight = get_weight  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.partition(".")[0], types.ModuleType(module.partition(".")[0]))
    monkeypatch.setitem(sys.modules, module, stub)


def test_torchgeos_segmentation_weights_come_by_name(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other = smp.Unet("resnet18", encoder_weights=None, in_channels=8, classes=2).eval()
    torch.save(other.state_dict(), tmp_path / "unet.pth")
    meta = {"encoder": "resnet18", "license": "CC-BY-4.0", "bands": ["B4", "B3", "B2", "B8"] * 2, "num_classes": 2}
    url = (tmp_path / "unet.pth").as_uri()
    published(monkeypatch, "torchgeo.models", {"Unet_Weights.FIELDS": _Weights(url, meta)})
    model, card = import_model("torchgeo:Unet_Weights.FIELDS", "smp_unet", tmp_path / "m.safetensors")
    assert (hub / "unet.pth").exists()
    assert card.licence == "CC-BY-4.0"
    assert card.band_names == ("b4", "b3", "b2", "b8", "b4_date2", "b3_date2", "b2_date2", "b8_date2")
    assert card.recipe["imported"]["weights"] == "torchgeo:Unet_Weights.FIELDS"
    assert card.recipe["imported"]["url"] == url
    x = torch.randn(1, 8, 64, 64)
    with torch.inference_mode():
        assert torch.equal(load_network(model)[0](x), other(x))


def test_a_folder_of_smps_save_pretrained_tells_its_network(tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    other = smp.FPN("resnet18", encoder_weights=None, in_channels=4, classes=2, decoder_pyramid_channels=32).eval()
    other.save_pretrained(str(tmp_path / "fpn"))
    model, card = import_model(tmp_path / "fpn", "smp_fpn", tmp_path / "m.safetensors")
    assert card.architecture.options["decoder_pyramid_channels"] == 32
    assert card.band_names == ("red", "green", "blue", "nir")
    x = torch.randn(1, 4, 64, 96)
    with torch.inference_mode():
        assert torch.equal(load_network(model)[0](x), other(x))
    with pytest.raises(ModelError, match="names smp's FPN; import it as smp_fpn"):
        import_model(tmp_path / "fpn", "smp_unet", tmp_path / "again.safetensors")


def test_torchvisions_segmentation_weights_tell_their_classes(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.models

    torch.save(lraspp(2).state_dict(), tmp_path / "lraspp.pth")
    weights = _Weights((tmp_path / "lraspp.pth").as_uri(), {"categories": ["__background__", "cat"]})
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: weights)
    _, card = import_model("torchvision:LRASPP_Weights.CATS", NETWORK, tmp_path / "m.safetensors")
    assert card.legend.names == ("__background__", "cat")
    assert card.name == "lraspp_weights.cats"
    assert hub.is_dir()


def test_an_encoder_begins_with_torchgeos_weights(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = timm.create_model("resnet18", in_chans=13, num_classes=0)
    torch.save(other.state_dict(), tmp_path / "resnet18.pth")
    url = (tmp_path / "resnet18.pth").as_uri()
    published(monkeypatch, "torchgeo.models", {"ResNet18_Weights.SENTINEL2": _Weights(url, {})})
    wanted = NamedEncoder(name="torchgeo:ResNet18_Weights.SENTINEL2", licence="MIT")
    network = build("timm_unet", 4, 2, encoder="resnet18", widths=[8, 8, 8, 8])
    load_encoder(network, wanted, wanted.fetch())
    assert torch.equal(network.body.encoder.conv1.weight, adapt_bands(other.conv1.weight, 4))
    assert torch.equal(network.body.encoder.layer4[1].conv2.weight, other.layer4[1].conv2.weight)
    assert hub.is_dir()


def test_timms_weights_are_found_by_name_and_offline_is_said(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = look_up("timm:resnet18.a1_in1k")
    assert (found.repository, found.file) == ("timm/resnet18.a1_in1k", "model.safetensors")

    def offline(repository: str, file: str) -> str:
        raise LocalEntryNotFoundError(f"no connection to fetch {file} of {repository}")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(ModelError, match=r"timm:resnet18\.a1_in1k: cannot be fetched .*Offline\?") as refusal:
        local_file(found)
    assert "\n" not in str(refusal.value)


def test_torchvisions_weights_are_found_by_name_and_offline_is_said(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.error

    import geoseg.io.files.download

    def offline(*_: Any, **__: Any) -> Any:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(geoseg.io.files.download, "urlopen", offline)
    found = look_up("torchvision:ResNet50_Weights.IMAGENET1K_V2")
    assert found.url.startswith("https://download.pytorch.org/models/resnet50-")
    with pytest.raises(ModelError, match=r"no route.*Offline\? Put the file at .*resnet50-"):
        local_file(found)
    assert not list(hub.glob("*"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:resnet18.nobody", "timm has no weights of this name; it has resnet18"),
        ("timm:nothing", "timm has no weights of this name"),
        ("torchvision:ResNet50_Weights.NONE", "torchvision has no weights of this name"),
        ("keras:resnet", "weights are named by timm, torchvision, torchgeo"),
    ],
)
def test_unknown_names_are_refused(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        look_up(name)


def test_a_file_is_not_taken_for_a_name() -> None:
    assert is_name("torchgeo:Unet_Weights.X")
    assert not is_name("C:/models/a.pth")
    assert not is_name("weights.pth")
