"""Runtimes: the same probabilities by every way; memory that runs out is met by smaller batches."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_card
from torch import nn

from geoseg.errors import DeviceError, ModelError, ResourceError, UsageError
from geoseg.inference.receptive_field import influence
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.models.model import Model, load_model
from geoseg.models.network import load_network
from geoseg.runtimes.openvino_runtime import openvino_module, telemetry_blocked
from geoseg.runtimes.torch_runtime import TorchRuntime

openvino = pytest.importorskip("openvino")


def tiles(count: int = 3, side: int = 48) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).normal(size=(count, 3, side, side)).astype(np.float32)


def probabilities(model: Model) -> Any:
    return model.runtime.run(tiles())["probabilities"]


def test_probabilities_are_the_softmax_of_the_network(tiny_model: Path) -> None:
    network, _ = load_network(tiny_model)
    with torch.inference_mode():
        wanted = torch.softmax(network(torch.from_numpy(tiles())), 1).numpy()
    found = probabilities(load_model(tiny_model, device="cpu", runtime="torch", precision="fp32"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("auto", 0.06)])
def test_openvino_and_torch_agree(tiny_model: Path, precision: Any, tolerance: float) -> None:
    exact = probabilities(load_model(tiny_model, device="cpu", runtime="torch", precision="fp32"))
    runtime = load_model(tiny_model, device="cpu", runtime="openvino", precision=precision).runtime
    assert np.abs(runtime.run(tiles())["probabilities"] - exact).max() < tolerance
    assert runtime.run(tiles(1, 80))["probabilities"].shape == (1, 3, 80, 80)


def test_auto_takes_openvino_on_a_cpu(tiny_model: Path) -> None:
    assert load_model(tiny_model, device="cpu").info.name == "openvino"


def ran_by_openvino(model: Path, folder: Path, before: str) -> None:
    """Run a network by OpenVINO in a process of its own, whose home and current folder is ``folder``."""
    script = (
        f"import os\n{before}from geoseg.models.model import load_model\nimport numpy as np\n"
        f"load_model({str(model)!r}, runtime='openvino').runtime.run(np.zeros((1, 3, 32, 32), np.float32))\n"
    )
    environment = os.environ | {
        "GEOSEG_CACHE_DIR": str(folder),
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, env=environment)


def test_openvino_tells_nobody(tiny_model: Path, tmp_path: Path) -> None:
    ran_by_openvino(tiny_model, tmp_path, "os.register_at_fork(before=lambda: os.mkdir('forked'))\n")
    assert not (tmp_path / "forked").exists()  # a report is sent by a fork of the process
    assert not (tmp_path / "intel").exists()  # where the number of this user would be kept


def test_conversions_tell_nobody_where_openvino_was_imported_before(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino_telemetry")
    listening = "Telemetry.send_event = lambda *a, **k: open('reported', 'w').close()\n"
    ran_by_openvino(tiny_model, tmp_path, f"import openvino\nfrom openvino_telemetry import Telemetry\n{listening}")
    assert not (tmp_path / "reported").exists()


def test_one_thread_at_a_time_keeps_telemetry_off() -> None:
    with ThreadPoolExecutor(4) as pool:
        with telemetry_blocked():
            asked = [pool.submit(openvino_module) for _ in range(8)]
            done, waiting = wait(asked, timeout=0.5)
            assert (len(done), len(waiting)) == (0, 8)
        assert {call.result() for call in asked} == {openvino}
    assert sys.modules.get("openvino_telemetry", openvino) is not None  # it can be imported again


class Greedy(nn.Module):
    """Fits ``limit`` tiles into its memory, and no more."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.sizes: list[int] = []
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x[:, :2] * self.weight


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_the_batch_is_halved_until_it_fits_and_the_answer_is_the_same(limit: int) -> None:
    network = Greedy(limit)
    runtime = TorchRuntime(network, batch=8, precision="fp32")
    found = runtime.run(tiles(8))["probabilities"]
    np.testing.assert_allclose(found, tiles(8)[:, :2], atol=1e-6)  # the network gives bands back, and the head nothing
    assert runtime.batch <= max(limit, 1) or limit == 8
    network.sizes.clear()
    runtime.run(tiles(runtime.batch))
    assert max(network.sizes) <= limit, "what did not fit once is not tried again"


def test_a_cpu_that_is_out_of_memory_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = TorchRuntime(Greedy(8), precision="fp32")

    def exhausted(_: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(runtime, "_forward", exhausted)
    with pytest.raises(ResourceError, match="--tile-px"):
        runtime.run(tiles(2))


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
    ],
)
def test_a_gpu_that_fails_is_no_bug_and_the_run_can_go_on(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = TorchRuntime(Greedy(8), precision="fp32")
    batch = runtime.batch

    def fails(_: Any) -> Any:
        raise RuntimeError(said)

    monkeypatch.setattr(runtime, "_forward", fails)
    with pytest.raises(DeviceError, match="Run the same command again") as caught:
        runtime.run(tiles(2))
    assert said.split("\n", maxsplit=1)[0] in str(caught.value)
    assert caught.value.exit_code == 5
    assert runtime.batch == batch, "the batch is not to blame"


def test_another_error_of_the_network_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = TorchRuntime(Greedy(8), precision="fp32")

    def fails(_: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(runtime, "_forward", fails)
    with pytest.raises(RuntimeError, match="shape mismatch") as caught:
        runtime.run(tiles(2))
    assert not isinstance(caught.value, ResourceError)


def test_one_tile_that_does_not_fit_is_an_error_with_a_cure() -> None:
    with pytest.raises(ResourceError, match="--tile-px"):
        TorchRuntime(Greedy(0), batch=4, precision="fp32").run(tiles(4))


def test_on_cuda_pixels_are_pinned_and_copied_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    copy = torch.Tensor.to

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        calls.append("pinned")
        return tensor

    def to(tensor: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        if options.get("non_blocking"):
            calls.append("non-blocking")
        return copy(tensor, *args, **options)

    runtime = TorchRuntime(Greedy(8), precision="fp32")
    runtime._cuda = True  # the device itself is not there
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    runtime.run(tiles(2))
    assert calls == ["pinned", "non-blocking"]


@pytest.mark.parametrize(("has_bf16", "chosen"), [(True, "bf16"), (False, "fp16")])
def test_precision_on_cuda_is_what_the_device_has(has_bf16: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    runtime = TorchRuntime(Greedy(1), precision="fp32")
    runtime._cuda = True
    assert runtime._choose("auto") == chosen


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_answer_of_the_cpu(tiny_model: Path) -> None:
    exact = probabilities(load_model(tiny_model, device="cpu", runtime="torch", precision="fp32"))
    found = probabilities(load_model(tiny_model, device="cuda", precision="fp32"))
    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_a_model_travels_as_its_source(tiny_model: Path) -> None:
    model = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    content = pickle.dumps(model)
    assert len(content) < 2000
    again = pickle.loads(content)  # noqa: S301 - made above
    assert again.digest() == model.digest()
    np.testing.assert_array_equal(probabilities(again), probabilities(model))


def test_the_digest_knows_weights_card_and_arithmetic(tiny_model: Path, tmp_path: Path) -> None:
    tensors, card = read_model(tiny_model)
    digests = {load_model(tiny_model, device="cpu", runtime="torch", precision=p).digest() for p in ("fp32", "bf16")}  # type: ignore[arg-type]
    digests.add(load_model(tiny_model, device="cpu", runtime="openvino", precision="fp32").digest())
    write_model(tmp_path / "a.safetensors", tensors, card.model_copy(update={"halo_px": 8}))
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    write_model(tmp_path / "b.safetensors", tensors | {name: tensors[name] * 2}, card)
    for path in (tmp_path / "a.safetensors", tmp_path / "b.safetensors"):
        digests.add(load_model(path, device="cpu", runtime="torch", precision="fp32").digest())
    assert len(digests) == 5


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "nan", "architecture"])
def test_weights_that_do_not_fit_their_card_are_refused_by_name(tiny_model: Path, tmp_path: Path, fault: str) -> None:
    tensors, card = read_model(tiny_model)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    if fault == "missing":
        tensors.pop(name)
    elif fault == "extra":
        tensors["surplus"] = np.zeros(3, np.float32)
    elif fault == "shape":
        tensors[name] = tensors[name][:, :1]
    elif fault == "nan":
        variance = next(name for name in tensors if name.endswith("running_var"))
        tensors[variance] = np.full_like(tensors[variance], -1)  # its root is NaN, though the file holds none
    else:
        card = tiny_card(architecture={"name": "hrnet", "options": {}})
    path = tmp_path / "broken.safetensors"
    write_model(path, tensors, card)
    said = {"extra": "surplus", "nan": "NaN", "architecture": "missing"}.get(fault, name)
    with pytest.raises(ModelError, match=said):
        load_model(path, device="cpu", runtime="torch")


def test_a_runtime_that_cannot_run_there_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="fp16"):
        load_model(tiny_model, device="cpu", runtime="openvino", precision="fp16")
    with pytest.raises(ResourceError, match="cuda:7"):
        load_model(tiny_model, device="cuda:7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert load_model(tiny_model, runtime="openvino").info.device == "cpu"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed"):
        load_model(tiny_model, device="cpu", runtime="openvino")


@pytest.mark.parametrize("radius", [0, 2, 5])
def test_the_receptive_field_of_a_box_filter_is_its_radius(radius: int) -> None:
    box = nn.Conv2d(3, 2, 2 * radius + 1, padding=radius)
    nn.init.ones_(box.weight)
    with torch.no_grad():
        box.weight[1] = -1
    profile = influence(box, np.ones((2, 3, 32, 32), np.float32))
    assert int(np.searchsorted(profile, 1 - 1e-9)) == radius
    assert profile[-1] == pytest.approx(1)


FREED_ELSEWHERE = """
import gc, signal, sys, threading
import numpy as np
from geoseg.models.model import load_model
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
models = [load_model(sys.argv[1], device="cpu", runtime="openvino")]
models[0].runtime.run(np.zeros((1, 3, 64, 64), np.float32))
thread = threading.Thread(target=lambda: (models.clear(), gc.collect()))
thread.start()
thread.join()
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_after_a_model_was_freed_in_another_thread_is_handled(tiny_model: Path) -> None:
    """OpenVINO's plugin leaves the main thread with a freed signal stack, where the processor has AMX."""
    command = [sys.executable, "-c", FREED_ELSEWHERE, str(tiny_model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
