"""Cases of models, configurations and recipes: what would run code, swells, is damaged or says nonsense."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from command_case import Ended, Make, Place, refused
from conftest import blobs
from made_inputs import content, write
from scene_runs import leaves_nothing
from small_training import document, write_squares

SHOW = ("models", "show", "{folder}/input.safetensors")
IMPORT = ("models", "import", "{folder}/input.pt", "--as", "unet", "--out", "{out}/m.safetensors", "--legend", "voc")
PREDICT = (
    "predict",
    "{folder}/scene.tif",
    "--model",
    "{folder}/input.safetensors",
    "--out",
    "{out}",
    "--runtime",
    "torch",
    "--device",
    "cpu",
    "--quiet",
)
ARCHIVE = ("archive", "run", "{folder}/input.yaml", "--quiet")
TRAIN = ("train", "{folder}/input.yaml", "--data", "{folder}", "--out", "{out}", "--quiet")


class Code:
    """A pickle that makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch '{self.marker}'",)


def no_marker(ended: Ended) -> None:
    """The code of the input was not run."""
    assert not (ended.place.folder / "marker").exists()


def nothing_outside(ended: Ended) -> None:
    """No entry of the input was unpacked, and no file has its final name."""
    above = ended.place.folder.resolve().parents
    assert not [found for folder in (ended.place.folder, *above[:3]) for found in folder.glob("outside*")]
    leaves_nothing(ended)


def with_code(place: Place) -> None:
    """Write a checkpoint that runs code when it is unpickled."""
    torch.save({"a": torch.zeros(3), "b": Code(place.folder / "marker")}, place.folder / "input.pt")


def bare_code(place: Place) -> None:
    """Write a pickle that runs code."""
    (place.folder / "input.pt").write_bytes(pickle.dumps(Code(place.folder / "marker")))


def zipped(*entries: tuple[str, bytes], level: int = 0) -> bytes:
    """Write a zip archive of these entries."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def swelling(place: Place) -> None:
    """Write a checkpoint of 4 MB whose pickle inflates to 4 GB."""
    with (
        zipfile.ZipFile(place.folder / "input.pt", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as file,
    ):
        for _ in range(4096):
            file.write(bytes(1 << 20))


def strange_tensors(place: Place) -> None:
    """Write a checkpoint of a sparse tensor and of one that says more than it holds."""
    torch.save({"a": torch.eye(3).to_sparse(), "b": torch.zeros(1).expand(10**6, 10**6)}, place.folder / "input.pt")


def safetensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    """Write a safetensors file."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def changed_model(change: Callable[[bytes], bytes]) -> Make:
    """The small model with changed bytes, and a scene for it."""

    def make(place: Place) -> None:
        write(place.folder / "scene.tif", blobs((40, 50)))
        (place.folder / "input.safetensors").write_bytes(change(place.model.read_bytes()))

    return make


def flipped(data: bytes) -> bytes:
    """Flip one bit of the last tensor."""
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def card_says(**changes: Any) -> Callable[[bytes], bytes]:
    """Change the card of a model file, not its tensors."""

    def change(data: bytes) -> bytes:
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        (key,) = (key for key in header["__metadata__"] if header["__metadata__"][key].startswith("{"))
        card = json.loads(header["__metadata__"][key]) | changes
        card.pop("weights_sha256", None)
        header["__metadata__"][key] = json.dumps(card)
        return safetensors(header, data[8 + length :])

    return change


def all_nan(place: Place) -> None:
    """Write a checkpoint of a network whose weights are no numbers."""
    from geoseg import nn

    network = nn.build("unet", 3, 21, width=4, depth=2)
    torch.save(
        {name: tensor * float("nan") for name, tensor in network.state_dict().items()}, place.folder / "input.pt"
    )


def another_network(place: Place) -> None:
    """Write a checkpoint of a network of another size."""
    from geoseg import nn

    torch.save(nn.build("unet", 4, 21, width=4, depth=2).state_dict(), place.folder / "input.pt")


def configuration(place: Place, **more: Any) -> dict[str, Any]:
    """An archive of one folder."""
    (place.folder / "source").mkdir(exist_ok=True)
    facts = {"source": str(place.folder / "source"), "model": str(place.model), "out": str(place.out), "workers": 0}
    return facts | {"device": "cpu", "runtime": "torch"} | more


def archive(**more: Any) -> Make:
    """A configuration with more or other keys."""
    return lambda place: (place.folder / "input.yaml").write_text(yaml.safe_dump(configuration(place, **more)))


def recipe(**more: Any) -> Make:
    """A recipe of a small training with other keys."""

    def make(place: Place) -> None:
        write_squares(place.folder)
        (place.folder / "input.yaml").write_text(json.dumps(document(steps=1) | more))

    return make


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
"""Aliases that stand for a thousand million words."""

MODELS = (
    *(
        refused(f"a checkpoint that is {what}", make, 4, "input.pt", command=IMPORT)
        for what, make in (
            ("missing", lambda _: None),
            ("empty", content(b"", "input.pt")),
            ("a web page", content("<html><body>login</body></html>", "input.pt")),
            ("a zip without tensors", content(zipped(("x", b"y")), "input.pt")),
            ("cut", content(zipped(("archive/data.pkl", bytes(900)))[:300], "input.pt")),
            ("random bytes", content(bytes(range(256)) * 9, "input.pt")),
        )
    ),
    refused(
        "a checkpoint that runs a command when it is unpickled",
        with_code,
        4,
        "input.pt",
        command=IMPORT,
        holds=no_marker,
        quick=True,
    ),
    refused("a bare pickle that runs a command", bare_code, 4, "input.pt", command=IMPORT, holds=no_marker),
    refused(
        "an archive of a program (.pt2)",
        content(zipped(("archive/models/model.json", b"{}"), ("archive/version", b"0")), "input.pt2"),
        4,
        "input.pt2",
        command=("models", "import", "{folder}/input.pt2", *IMPORT[3:]),
    ),
    refused(
        "a checkpoint of sparse tensors and of strides that say more than is there",
        strange_tensors,
        4,
        "input.pt",
        command=IMPORT,
    ),
    refused(
        "a checkpoint with an entry of `../`",
        content(zipped(("../../outside", b"x"), ("archive/data.pkl", b"\x80\x02}.")), "input.pt"),
        4,
        "input.pt",
        command=IMPORT,
        holds=nothing_outside,
    ),
    refused("a checkpoint of 4 MB that inflates to 4 GB", swelling, 4, "input.pt", command=IMPORT, memory=1500 * 10**6),
    refused(
        "a checkpoint of weights that are no numbers",
        all_nan,
        4,
        "input.pt",
        command=(*IMPORT, "--option", "width=4", "--option", "depth=2"),
    ),
    refused(
        "a checkpoint of another network",
        another_network,
        4,
        "input.pt",
        command=(*IMPORT, "--option", "width=4", "--option", "depth=2"),
    ),
    refused(
        "another digest than the required one", another_network, 4, "input.pt", command=(*IMPORT, "--sha256", "0" * 64)
    ),
    refused(
        "random bytes as a model file",
        content(bytes(range(256)) * 9, "input.safetensors"),
        4,
        "input.safetensors",
        command=SHOW,
    ),
    refused(
        "random bytes as a model file to import",
        content(bytes(range(256)) * 9, "input.safetensors"),
        4,
        "input.safetensors",
        command=("models", "import", "{folder}/input.safetensors", *IMPORT[3:]),
    ),
    refused(
        "a model whose header is longer than any file",
        content((2**63).to_bytes(8, "little") + b"{}", "input.safetensors"),
        4,
        "input.safetensors",
        command=SHOW,
        memory=700 * 10**6,
        quick=True,
    ),
    refused(
        "one flipped bit in a model's weights",
        changed_model(flipped),
        4,
        "input.safetensors",
        command=PREDICT,
        quick=True,
    ),
    refused(
        "a model without its last bytes", changed_model(lambda data: data[:-9]), 4, "input.safetensors", command=PREDICT
    ),
    *(
        refused(
            f"a card that names {what} than the weights have",
            changed_model(card_says(**changes)),
            4,
            "input.safetensors",
            command=PREDICT,
        )
        for what, changes in (
            ("an unknown network", {"architecture": {"name": "no-such", "options": {}}}),
            ("an unknown option", {"architecture": {"name": "unet", "options": {"widht": 4}}}),
            ("a wider network", {"architecture": {"name": "unet", "options": {"width": 8, "depth": 2}}}),
            ("more bands", {"bands": [{"name": name} for name in ("red", "green", "blue", "nir")]}),
            (
                "more classes",
                {"legend": {"classes": [{"code": n, "name": f"c{n}", "colour": f"#00000{n}"} for n in range(5)]}},
            ),
        )
    ),
    refused(
        "a device that is not there",
        changed_model(lambda data: data),
        5,
        "cuda",
        command=(*PREDICT[:-3], "--device", "cuda:7", "--quiet"),
        env={"CUDA_VISIBLE_DEVICES": ""},
    ),
)

CONFIGURATIONS = (
    *(
        refused(
            f"a configuration with {what}",
            content(text, "input.yaml"),
            2,
            "input.yaml",
            *words,
            command=ARCHIVE,
            memory=900 * 10**6,
            seconds=40,
        )
        for what, text, words in (
            ("an unknown key", "source: x\nmodel: y\nout: z\nwokers: 2\n", ("wokers",)),
            (
                "a wrong type, and all its other faults",
                "source: x\nmodel: y\nout: z\nworkers: many\nwokers: 2\n",
                ("workers", "wokers"),
            ),
            ("wrong syntax", "source: [x\n", ("line",)),
            ("a tab", "source: x\n\tmodel: y\n", ("line",)),
            ("a key that stands twice", "source: x\nsource: z\nmodel: y\nout: z\n", ("source",)),
            ("aliases that swell to a thousand million words", ALIASES, ()),
            ("a tag that would run code", "source: !!python/object/apply:os.system ['touch marker']\n", ()),
            ("letters that are not UTF-8", b"source: \xff\xfe\xfa\n", ()),
            ("a thousand levels", "[" * 1000, ()),
            ("100 MB", b"# " + b"x" * 100_000_000, ()),
            ("nothing in it", "", ()),
            ("NUL", "source: a\0b\n", ()),
        )
    ),
    refused("a source that is not there", archive(source="gone"), 2, "gone", command=ARCHIVE),
    refused("a recipe with an unknown key", recipe(shedule={}), 2, "shedule", command=TRAIN),
    refused(
        "a recipe whose labels are missing",
        lambda place: (recipe()(place), (place.folder / "labels.tif").unlink()),
        3,
        "labels.tif",
        command=TRAIN,
    ),
    refused(
        "a recipe whose labels are the picture",
        recipe(sources=[document()["sources"][0] | {"labels": "image.tif"}]),
        3,
        "image.tif",
        command=TRAIN,
    ),
    refused(
        "an output of a training that is a file",
        lambda place: (recipe()(place), place.out.write_text("x")),
        2,
        "out",
        command=TRAIN,
        holds=lambda ended: ended.place.out.read_text() == "x",
    ),
)

CASES = {"Models and checkpoints": MODELS, "Configurations and recipes": CONFIGURATIONS}
