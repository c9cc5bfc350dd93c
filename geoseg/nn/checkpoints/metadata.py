"""Options of a network from the metadata of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from geoseg.errors import ModelError

_NOT_OPTIONS = frozenset(
    {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params", "_model_class"}
)
_TORCHGEO_MODELS = MappingProxyType(
    {
        "unet": "smp_unet",
        "unet++": "smp_unetplusplus",
        "unetplusplus": "smp_unetplusplus",
        "manet": "smp_manet",
        "linknet": "smp_linknet",
        "fpn": "smp_fpn",
        "pspnet": "smp_pspnet",
        "pan": "smp_pan",
        "deeplabv3": "smp_deeplabv3",
        "deeplabv3+": "smp_deeplabv3plus",
        "deeplabv3plus": "smp_deeplabv3plus",
        "upernet": "smp_upernet",
        "segformer": "smp_segformer",
        "fcn": "torchgeo_fcn",
        "farseg": "torchgeo_farseg",
    }
)
"""Value of ``model`` among a torchgeo task's hyper-parameters to a name of the registry."""


def network_of(metadata: Mapping[str, object]) -> str | None:
    """Name the network of a checkpoint from its metadata; None if nothing names one.

    Args:
        metadata: ``config`` of smp's ``save_pretrained``, or ``hyper_parameters`` of a torchgeo task.

    Raises:
        ModelError: they name a network that geoseg does not have.
    """
    config, task = metadata.get("config"), metadata.get("hyper_parameters")
    if isinstance(config, Mapping) and isinstance(config.get("_model_class"), str):
        return f"smp_{config['_model_class'].lower()}"
    if isinstance(task, Mapping) and isinstance(task.get("model"), str):
        return _torchgeo_network(task["model"])
    return None


def metadata_options(name: str, metadata: Mapping[str, object]) -> dict[str, object]:
    """Turn metadata into options of a network.

    Args:
        name: of the network.
        metadata: ``config`` of smp's ``save_pretrained``, ``hyper_parameters`` of Lightning; others are passed over.

    Raises:
        ModelError: they name another network.
    """
    config, task = metadata.get("config"), metadata.get("hyper_parameters")
    if isinstance(config, Mapping):
        return _of_smp(name, config)
    if isinstance(task, Mapping) and isinstance(task.get("model"), str):
        return _of_torchgeo(name, task)
    return {}


def _of_smp(name: str, config: Mapping[str, object]) -> dict[str, object]:
    model = config.get("_model_class")
    if isinstance(model, str) and f"smp_{model.lower()}" != name:
        raise ModelError(f"its config.json names smp's {model}; import it as smp_{model.lower()}")
    found = {key: value for key, value in config.items() if key not in _NOT_OPTIONS and value is not None}
    return {**found, **({"encoder": config["encoder_name"]} if "encoder_name" in config else {})}


def _of_torchgeo(name: str, task: Mapping[str, Any]) -> dict[str, Any]:
    network = _torchgeo_network(task["model"])
    if network != name:
        raise ModelError(f"its hyper-parameters name the model {task['model']!r}; import it as {network}")
    if network == "torchgeo_fcn":
        return {"filters": task["num_filters"]} if "num_filters" in task else {}
    if "backbone" not in task:
        return {}
    return {"backbone" if network == "torchgeo_farseg" else "encoder": task["backbone"]}


def _torchgeo_network(model: str) -> str:
    if model not in _TORCHGEO_MODELS:
        raise ModelError(f"its hyper-parameters name the model {model!r}, which is not known here")
    return _TORCHGEO_MODELS[model]
