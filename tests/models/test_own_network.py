"""Networks of the caller's own: whatever a module answers becomes probabilities; nothing is guessed or registered."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from conftest import WriteScene, blobs, tiny_card
from torch import nn

import geoseg
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import ModelError, UsageError

TWO = Legend(
    classes=[LegendClass(code=0, name="rest", colour="#000000"), LegendClass(code=3, name="roof", colour="#ff0000")]
)
PLAIN: dict[str, Any] = {"device": "cpu", "runtime": "torch", "precision": "fp32"}


def own_card(activation: str | None = None, **changes: Any) -> geoseg.ModelCard:
    options = {} if activation is None else {"activation": activation}
    return tiny_card(**({"name": "mine", "architecture": {"name": "mine", "options": options}} | changes))


def tiles(count: int = 2, side: int = 48, bands: int = 3) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(count, bands, side, side)).astype(np.float32)


class Mixing(nn.Module):
    """Mixes bands by a 3 x 3 filter: one of the smallest networks that sees a neighbourhood."""

    def __init__(self, bands: int = 3, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.mix = nn.Conv2d(bands, classes, 3, padding=1)

    def forward(self, x: torch.Tensor) -> Any:
        return self.mix(x)


class InDict(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return {"out": self.mix(x), "aux": x}


class InOtherDict(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return {"loss": None, "logits": self.mix(x)}


class Softmax(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.softmax(self.mix(x), 1)


class OneLogit(Mixing):
    """The second of two classes, by the difference of their logits."""

    def forward(self, x: torch.Tensor) -> Any:
        both = self.mix(x)
        return both[:, 1:2] - both[:, 0:1]


class OneProbability(OneLogit):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.sigmoid(super().forward(x))


def wanted_probs(bands: int = 3, classes: int = 3, temperature: float = 1.0) -> np.ndarray[Any, Any]:
    """The softmax of the filter's answer, by numpy."""
    with torch.no_grad():
        logits = Mixing(bands, classes)(torch.from_numpy(tiles(bands=bands))).numpy() / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", [Mixing, InDict, InOtherDict])
def test_logits_are_found_in_whatever_holds_them(kind: type[Mixing]) -> None:
    model = geoseg.load_model(kind(), card=own_card(), **PLAIN)
    np.testing.assert_allclose(model.runtime.run(tiles())["probabilities"], wanted_probs(), atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(
    ("kind", "activation", "classes"),
    [(Softmax, "probabilities", 2), (OneLogit, "sigmoid", 2), (OneProbability, "positive", 2), (Mixing, "logits", 2)],
)
def test_the_card_says_what_is_answered(kind: type[Mixing], activation: str, classes: int, temperature: float) -> None:
    card = own_card(activation, legend=TWO, temperature=temperature)
    model = geoseg.load_model(kind(3, classes), card=card, **PLAIN)
    np.testing.assert_allclose(model.runtime.run(tiles())["probabilities"], wanted_probs(3, 2, temperature), atol=1e-5)


@pytest.mark.parametrize("wrap", ["lightning", "parallel", "compiled"])
def test_a_network_is_taken_out_of_what_trains_it(wrap: str) -> None:
    if wrap == "lightning":
        lightning = pytest.importorskip("lightning")

        class Task(lightning.LightningModule):  # type: ignore[misc, name-defined]
            """As torchgeo's tasks are made."""

            def __init__(self) -> None:
                super().__init__()
                self.model = Mixing()

        module: nn.Module = Task()
    else:
        module = nn.DataParallel(Mixing()) if wrap == "parallel" else torch.compile(Mixing())  # type: ignore[assignment]
    model = geoseg.load_model(module, card=own_card(), **PLAIN)
    np.testing.assert_allclose(model.runtime.run(tiles())["probabilities"], wanted_probs(), atol=1e-5)


def test_a_task_of_torchgeo_is_a_model() -> None:
    from torchgeo import trainers

    task = trainers.SemanticSegmentationTask(
        model="unet", backbone="resnet18", in_channels=3, num_classes=3, task="multiclass", weights=None
    )
    model = geoseg.load_model(task, card=own_card(), **PLAIN)
    with torch.inference_mode():
        wanted = torch.softmax(task.model.eval()(torch.from_numpy(tiles(2, 64))), 1).numpy()
    np.testing.assert_allclose(model.runtime.run(tiles(2, 64))["probabilities"], wanted, atol=1e-5)


def test_the_map_is_what_the_network_says_of_the_scaled_pixels(write_scene: WriteScene, tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(1)
    network = smp.Unet("resnet18", encoder_weights=None, classes=3).eval()
    values = blobs((96, 96))
    model = geoseg.load_model(network, card=own_card(), **PLAIN)
    layers = geoseg.predict(write_scene(values), model, tmp_path / "out", spec=geoseg.PredictSpec(vector=False))
    with torch.inference_mode():  # the scene is one tile
        logits = network(torch.from_numpy((values[None] / 255 - 0.5) / 0.25).float())[0].numpy()
    with rasterio.open(layers.bundle.classes) as file:
        found = file.read(1)
    gap = np.diff(np.sort(logits, axis=0)[-2:], axis=0)[0]
    expected = np.array([0, 1, 5])[logits.argmax(axis=0)]
    assert len(np.unique(expected)) > 1, "a map of one class shows nothing"
    np.testing.assert_array_equal(found[gap > 1e-4], expected[gap > 1e-4])
    assert layers.record["model"]["name"] == "mine"


@pytest.mark.parametrize("side", [64, 96])
def test_a_network_of_one_tile_size_answers_for_smaller_scenes(side: int) -> None:
    class Fixed(Mixing):
        def forward(self, x: torch.Tensor) -> Any:
            if x.shape[2:] != (side, side):
                raise ValueError("of one size only")
            return self.mix(x)

    model = geoseg.load_model(Fixed(), card=own_card(tile_px=side), **PLAIN)
    found = model.runtime.run(tiles(1, 40))["probabilities"]
    mirrored = np.pad(tiles(1, 40), ((0, 0), (0, 0), (0, side - 40), (0, side - 40)), mode="reflect")
    with torch.no_grad():
        wanted = torch.softmax(Mixing()(torch.from_numpy(mirrored)), 1).numpy()[..., :40, :40]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_network_with_a_stride_answers_for_every_pixel() -> None:
    class Strided(Mixing):
        def forward(self, x: torch.Tensor) -> Any:
            small = nn.functional.max_pool2d(x, 8)
            return self.mix(nn.functional.interpolate(small, scale_factor=8))

    model = geoseg.load_model(Strided(), card=own_card(), **PLAIN)
    assert model.runtime.run(tiles(1, 41))["probabilities"].shape == (1, 3, 41, 41)


def test_the_module_stays_as_it_was_and_later_training_changes_nothing() -> None:
    module = Mixing().train().double()
    model = geoseg.load_model(module, card=own_card(), **PLAIN)
    assert module.training
    assert module.mix.weight.dtype == torch.float64
    with torch.no_grad():
        module.mix.weight.zero_()
    np.testing.assert_allclose(model.runtime.run(tiles())["probabilities"], wanted_probs(), atol=1e-5)


class TooSmall(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return self.mix(x)[..., ::4, ::4]


class Several(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return self.mix(x), x


class Unknown(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return {"masks": self.mix(x)}


class Broken(Mixing):
    def forward(self, x: torch.Tensor) -> Any:
        return self.mix(x) * float("nan")


@pytest.mark.parametrize(
    ("module", "card", "words"),
    [
        (Mixing(4), own_card(), r"3 bands \(red, green, blue\).*4 channels"),
        (Mixing(3, 5), own_card(), r"5 channels.*3 classes \(ground, roof, water\).*legend"),
        (Mixing(3, 1), own_card(legend=TWO), "1 channels.*'activation': 'sigmoid'"),
        (Mixing(3, 3), own_card("sigmoid"), "two classes"),
        (Mixing(3, 3), own_card("softmax"), "activation 'softmax'. Known: logits"),
        (TooSmall(), own_card(), r"\(1, 3, 16, 16\).*64 x 64.*resizes"),
        (Several(), own_card(), "a tuple, not a tensor.*Wrap"),
        (Unknown(), own_card(), "masks.*without out or logits.*Wrap"),
        (Broken(), own_card(), "NaN"),
    ],
)
def test_a_module_that_does_not_fit_its_card_is_refused_when_it_is_loaded(
    module: nn.Module, card: Any, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        geoseg.load_model(module, card=card, **PLAIN)


def test_a_module_needs_a_card_and_a_file_has_one(tiny_model: Path, write_scene: WriteScene, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Mixing needs card=geoseg.ModelCard"):
        geoseg.load_model(Mixing())
    with pytest.raises(UsageError, match="has a card of its own"):
        geoseg.load_model(tiny_model, card=own_card())
    with pytest.raises(UsageError, match="Mixing needs card"):
        geoseg.predict(write_scene(), Mixing(), tmp_path / "out")  # type: ignore[arg-type]


def test_probabilities_that_the_card_calls_logits_are_doubted_in_words() -> None:
    assert "'probabilities'" in geoseg.load_model(Softmax(), card=own_card(), **PLAIN).card.warnings[0]
    assert not geoseg.load_model(Mixing(), card=own_card(), **PLAIN).card.warnings


def test_the_digest_knows_weights_structure_and_card() -> None:
    def digest(module: nn.Module, card: Any) -> str:
        return geoseg.load_model(module, card=card, **PLAIN).digest()

    other = Mixing()
    with torch.no_grad():
        other.mix.bias[0] += 1
    assert digest(Mixing(), own_card()) == digest(Mixing(), own_card())
    assert Softmax().state_dict().keys() == Mixing().state_dict().keys()
    different = {
        digest(Mixing(), own_card()),
        digest(other, own_card()),
        digest(Softmax(), own_card()),
        digest(Mixing(), own_card(halo_px=8)),
        digest(Mixing(), own_card(weights_sha256="")),
    }
    assert len(different) == 4


def test_it_pickles_with_the_module() -> None:
    model = geoseg.load_model(Mixing(), card=own_card(), **PLAIN)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - made here
    assert again.digest() == model.digest()
    np.testing.assert_array_equal(
        again.runtime.run(tiles())["probabilities"], model.runtime.run(tiles())["probabilities"]
    )


class Locked(Mixing):
    def __init__(self) -> None:
        super().__init__()
        self.lock: Any = None

    def __deepcopy__(self, memo: Any) -> Locked:
        copied = Locked()
        copied.lock = threading.Lock()
        return copied


def test_a_module_that_cannot_travel_is_refused_with_the_cure(
    write_scene: WriteScene, tmp_path: Path, crew_of_two: Any
) -> None:
    model = geoseg.load_model(Locked(), card=own_card(), **PLAIN)
    with pytest.raises(ModelError, match=r"cannot be pickled.*lock.*geoseg\.save_model"):
        pickle.dumps(model)
    with pytest.raises(ModelError, match=r"geoseg\.save_model"):
        geoseg.predict(write_scene(), model, tmp_path / "a", workers=crew_of_two)
    assert geoseg.predict(write_scene(), model, tmp_path / "b", spec=geoseg.PredictSpec(vector=False)).fresh


@pytest.mark.slow
def test_the_workers_of_a_cluster_give_the_bytes_of_this_process(
    write_scene: WriteScene, tmp_path: Path, crew_of_two: Any
) -> None:
    class Local(Mixing):
        """Defined where no worker can import it from."""

    model = geoseg.load_model(Local(), card=own_card(), threads=1, **PLAIN)
    spec = geoseg.PredictSpec(block_px=64, vector=False)
    scene = write_scene()
    alone = geoseg.predict(scene, model, tmp_path / "alone", spec=spec)
    spread = geoseg.predict(scene, model, tmp_path / "spread", spec=spec, workers=crew_of_two)
    assert spread.record["blocks"]["predicted"] > 4
    assert alone.bundle.classes.read_bytes() == spread.bundle.classes.read_bytes()
    with rasterio.open(alone.bundle.classes) as file:
        codes = file.read(1)
    with geoseg.open_scene(scene) as opened:
        lazy = geoseg.segment(opened, model, spec=spec)
        np.testing.assert_array_equal(lazy.codes.compute(scheduler="threads"), codes)
        np.testing.assert_array_equal(lazy.codes.compute(scheduler=crew_of_two._client.get), codes)


def test_openvino_runs_it_and_a_network_that_it_reads_otherwise_is_refused() -> None:
    pytest.importorskip("openvino")
    model = geoseg.load_model(InDict(), card=own_card(), device="cpu", runtime="openvino", precision="fp32")
    np.testing.assert_allclose(model.runtime.run(tiles())["probabilities"], wanted_probs(), atol=1e-3)

    class Hidden(Mixing):
        """Decides by the pixels, which a trace cannot follow."""

        def forward(self, x: torch.Tensor) -> Any:
            return self.mix(x) if bool(x.abs().sum() > 0) else self.mix(-x - 3)

    with pytest.raises(ModelError, match="answers otherwise than torch.*runtime='torch'"):
        geoseg.load_model(Hidden(), card=own_card(), device="cpu", runtime="openvino", precision="fp32")


@pytest.mark.parametrize("exact", [True, False])
def test_a_network_of_a_known_architecture_becomes_a_model_file(tmp_path: Path, exact: bool) -> None:
    torch.manual_seed(2)
    network = geoseg.nn.build("unet", 3, 3, width=4, depth=2).train()
    stored = geoseg.save_model(network, tmp_path / "a.safetensors", tiny_card(), exact=exact)
    assert network.training
    loaded = geoseg.load_model(tmp_path / "a.safetensors", **PLAIN)
    assert loaded.card == stored
    with torch.inference_mode():
        wanted = torch.softmax(network.eval()(torch.from_numpy(tiles())), 1).numpy()
    np.testing.assert_allclose(loaded.runtime.run(tiles())["probabilities"], wanted, atol=1e-5 if exact else 1e-2)


def test_a_library_s_network_becomes_a_model_file(tmp_path: Path) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(4)
    network = smp.FPN("resnet18", encoder_weights=None, classes=3).eval()
    card = tiny_card(architecture={"name": "smp_fpn", "options": {"encoder": "resnet18"}})
    geoseg.save_model(network, tmp_path / "fpn.safetensors", card)
    found = geoseg.load_model(tmp_path / "fpn.safetensors", **PLAIN).runtime.run(tiles(2, 64))["probabilities"]
    with torch.inference_mode():
        np.testing.assert_allclose(found, torch.softmax(network(torch.from_numpy(tiles(2, 64))), 1), atol=1e-5)


class Negative(nn.Module):
    """Has the weights of a network, and answers otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = geoseg.nn.build("unet", 3, 3, width=4, depth=2)

    def state_dict(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        return self.inner.state_dict(*args, **options)

    def forward(self, x: torch.Tensor) -> Any:
        return -self.inner(x)


@pytest.mark.parametrize(
    ("network", "card", "name", "error", "words"),
    [
        (Mixing(), own_card(), "a.safetensors", ModelError, "no code.*'mine'.*geoseg.load_model"),
        (Mixing(), tiny_card(), "a.safetensors", ModelError, "do not fit unet"),
        (Negative(), tiny_card(), "a.safetensors", ModelError, "answers otherwise"),
        (Mixing(), tiny_card(), "a.pt", UsageError, "ends in .safetensors"),
        ({"w": 1}, tiny_card(), "a.safetensors", UsageError, "a torch module, not dict"),
    ],
)
def test_what_is_no_known_network_is_not_written(
    network: Any, card: Any, name: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        geoseg.save_model(network, tmp_path / name, card)
    assert not list(tmp_path.iterdir())
