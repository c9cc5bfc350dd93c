"""Training of a network from a recipe, up to the model file with its card and a report."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from geoseg.core.card import ModelCard
from geoseg.core.paths import path_text
from geoseg.core.window import Window
from geoseg.data.chips import ChipMaker
from geoseg.data.labelled import LabelledScene, read_source
from geoseg.errors import ModelError, OutputError, UsageError
from geoseg.inference.objects.count import best_min_score, calibrate_scores, object_scores_of
from geoseg.inference.panoptic.labelled import best_thing_score, panoptic_scores_of
from geoseg.io.files.targets import is_there, keep_existing, keep_inputs, make_folder
from geoseg.io.files.writing import reap_parts, scratch_file
from geoseg.io.weights.model_file import read_card, read_model, write_model
from geoseg.models.bundled import resolve
from geoseg.models.encoder_weights import NamedEncoder
from geoseg.nn import build
from geoseg.training.calibrate import calibrate
from geoseg.training.class_weights import weights_of
from geoseg.training.clicks import validate as clicks
from geoseg.training.progress import Report, TrainingProgress
from geoseg.training.recipe import Recipe, read_recipe, recipe_digest
from geoseg.training.score import Confusion, confusion, predict_class_indices
from geoseg.training.training_checks import count_on_chips, training_warnings
from geoseg.training.validation import ValidationResult, validate

if TYPE_CHECKING:
    from geoseg.training.training_module import TrainingModule

__all__ = ["Report", "TrainingProgress", "train", "use_command"]

_NEEDED = ("lightning", "matplotlib")
_ENDS = (".checkpoint", "_log.csv")
_RECIPE, _ORIGIN = "recipe_sha256", "started_from"
_RESULTS = {"scores", "warnings", "temperature", "min_score", "score_calibration", "weights_sha256"}
"""Fields of a card that the training decides."""


def train(
    recipe: Recipe | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    start: str | Path | None = None,
    encoder: str | Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> tuple[Path, ModelCard]:
    """Train a model, score it and write ``OUT/NAME.safetensors`` and ``OUT/NAME_report/report.html``.

    Args:
        recipe: the recipe, or its YAML file.
        data: folder that the recipe's files are relative to.
        out: folder of the model and of the checkpoint; made when missing.
        start: a bundled model's name, or a model file, for the initial weights; of the same architecture, bands and
            number of classes.
        encoder: the file of ``encoder_weights``, when the recipe names some and ``start`` is None; published ones are
            fetched.
        resume: resume from the checkpoint in ``out`` if there is one. A model in ``out`` that this recipe has trained
            is returned as it is; changes of the data since are not noticed.
        report: called after every step.

    Returns:
        The model file and its card, with scores of the weights as stored.

    Raises:
        UsageError: recipe and data do not fit, the training diverged, or a required library is not installed.
        ModelError: the model to start from is broken or another network.
        OutputError: ``out`` holds the model already and it is not to be resumed, or a model or checkpoint of another
            recipe.
        ResourceError: a device does not exist, or memory or disk do not suffice.

    Examples:
        >>> model, card = train("my_buildings.yaml", "data", "runs/mine", resume=True)  # doctest: +SKIP
    """
    if not isinstance(recipe, Recipe):
        recipe = read_recipe(Path(path_text(recipe, function="train", meant="a Recipe or the path of its YAML file")))
    data, out = (Path(path_text(folder, function="train", meant="folders as data and out")) for folder in (data, out))
    encoder = None if encoder is None else Path(path_text(encoder, function="train", meant="a file as encoder"))
    return _train(recipe, data, out, start=start, encoder=encoder, resume=resume, report=report)


def _train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    start: str | Path | None,
    encoder: Path | None,
    resume: bool,
    report: Report | None,
) -> tuple[Path, ModelCard]:
    _check_installed(recipe)
    # Lightning takes seconds to import, and only a training needs it
    from geoseg.training.checkpoint import read_checkpoint  # noqa: PLC0415
    from geoseg.training.fit import FitPaths, fit  # noqa: PLC0415
    from geoseg.training.training_module import TrainingModule  # noqa: PLC0415
    from geoseg.training.training_report import write_report  # noqa: PLC0415

    target = out / f"{recipe.name}.safetensors"
    begun_with = None if start is None else resolve(str(start))[0]
    if not resume:
        keep_existing(target, overwrite=False, cure="Remove it or choose another --out.")
    elif is_there(target):
        reap_parts(out)
        return target, _trained_before(target, recipe, begun_with)
    encoder = _encoder(recipe, start, encoder)
    folders = (out / f"{recipe.name}_report", out / f"{recipe.name}_tensorboard")
    keep_inputs((begun_with, encoder), target, *(out / f"{recipe.name}{end}" for end in _ENDS), folders=folders)
    make_folder(out)
    images = [i for s in recipe.sources for i in read_source(s, "train", data, recipe.legend)]
    if not images:
        raise UsageError(f"{recipe.name}: no source has anything to train on. Give one of them train rows.")
    held_out = [i for s in recipe.sources for i in read_source(s, "validate", data, recipe.legend)]
    if recipe.schedule.validate_every and not held_out:
        raise UsageError(f"{recipe.name}: no source has anything to validate on, as schedule.validate_every wants.")
    _check_objects(recipe, [*images, *held_out])
    normalisation = [band.mean for band in recipe.bands], [band.std for band in recipe.bands]
    chips = ChipMaker(images, recipe.chips, recipe.augment, normalisation, recipe.seed)

    learner = TrainingModule(recipe, weights_of(recipe.loss, recipe.legend, chips))
    origin = None if start is None else learner.load_initial_weights(str(start))
    learner.started_from = "" if origin is None else origin.weights_sha256
    if encoder is not None:
        learner.load_initial_encoder(encoder)
    checkpoint, log = (out / f"{recipe.name}{end}" for end in _ENDS)
    places = FitPaths(checkpoint=checkpoint, log=log, tensorboard=folders[1])
    resumed = resume and places.checkpoint.exists()
    if resumed:
        state = read_checkpoint(places.checkpoint, recipe, learner.started_from)
        learner.on_load_checkpoint(state)
        learner.load_state_dict(state["state_dict"])

    def look(network: torch.nn.Module, share: tuple[int, int]) -> Confusion:
        return _count(network, held_out[share[0] :: share[1]], recipe.card())

    if not learner.done and not fit(learner, chips, places, look=look, report=report, resume=resumed):
        raise SystemExit(0)  # a helper of the first process, which writes what follows
    card = _planned(recipe, origin, run=_run(learner))
    weights = {name: tensor.detach().contiguous().numpy() for name, tensor in learner.result().state_dict().items()}
    card, found = _scored(target, weights, card, (images, held_out))
    card = _checked(card, found, chips, learner.result())
    write_report(out / f"{recipe.name}_report", use_command(target, card.task), card, found, learner.lines)
    return target, write_model(target, weights, card)


def use_command(model: Path, task: str = "semantic") -> str:
    """Return the command line that uses a model of a task."""
    if task == "interactive":
        return f"geoseg view SCENE.tif --edit --model {shlex.quote(str(model))}"
    return f"geoseg predict SCENE.tif --model {shlex.quote(str(model))} --out maps"


def _check_installed(recipe: Recipe) -> None:
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{recipe.name}: training needs {name}. Run pip install 'geoseg[train]'.")


def _check_objects(recipe: Recipe, images: list[LabelledScene]) -> None:
    for image in images if recipe.task in {"instance", "panoptic"} else ():
        if image.read(Window(0, 1, 0, 1)).objects is None:
            raise UsageError(
                f"{image.name}: its labels do not separate objects. Give polygons, or a raster of their numbers with "
                "codes: nonzero."
            )


def _encoder(recipe: Recipe, start: str | Path | None, given: Path | None) -> Path | None:
    """Return the file of the recipe's encoder weights; published ones are fetched."""
    encoder_weights = recipe.encoder_weights
    if isinstance(encoder_weights, NamedEncoder) and start is None and given is None:
        return encoder_weights.fetch()
    if encoder_weights is not None and (start is None) == (given is None):
        raise UsageError(
            f"{recipe.name}: the recipe begins with {encoder_weights.file}. Pass --encoder-weights with it, or a model "
            f"with --start-from. Get it with: {encoder_weights.get}"
        )
    return given


def _run(learner: TrainingModule) -> dict[str, float]:
    return {"steps": learner.steps_taken, "minutes": round(learner.elapsed_s / 60, 1)}


def _count(network: torch.nn.Module, images: list[LabelledScene], card: ModelCard) -> Confusion:
    if card.task == "interactive":
        return clicks.look(network, images, card)
    classes = len(card.legend)
    counts = np.zeros((classes, classes), np.int64)
    for image in images:
        counts += confusion(image.class_indices, predict_class_indices(network, image, card), classes)
    return counts


def _checked(card: ModelCard, found: ValidationResult, chips: ChipMaker, network: torch.nn.Module) -> ModelCard:
    """Add warnings to a card, from the validation data, or from training chips if there are none."""
    counts, on = found.counts, "the validation data"
    if not counts.sum() and card.task == "semantic":
        counts, on = count_on_chips(network, chips, len(card.legend)), "the training data"
    return card.model_copy(update={"warnings": training_warnings(counts, card.legend, on=on)})


def _planned(recipe: Recipe, origin: ModelCard | None, *, run: dict[str, float]) -> ModelCard:
    """Make the card of a training, without what its result decides.

    The training data of the initial weights are added, since their licences apply too.
    """
    card = recipe.card(run=run)
    made = {**card.recipe, _RECIPE: recipe_digest(recipe)}
    if origin is None:
        return card.model_copy(update={"recipe": made})
    known = {(source.name, source.split) for source in card.trained_on}
    before = tuple(source for source in origin.trained_on if (source.name, source.split) not in known)
    made[_ORIGIN] = {"model": origin.name, "weights_sha256": origin.weights_sha256, "recipe": origin.recipe}
    return card.model_copy(update={"trained_on": (*card.trained_on, *before), "recipe": made})


def _trained_before(target: Path, recipe: Recipe, begun_with: Path | None) -> ModelCard:
    """Read the card of a model that an earlier run of the same training has written.

    Raises:
        OutputError: what stands there is damaged, or another training's.
    """
    if target.is_dir():
        raise UsageError(f"{target}: this is a folder; a file is needed. Give another name.")
    origin = None if begun_with is None else read_card(begun_with)
    try:
        _, card = read_model(target)
    except ModelError as error:
        raise OutputError(f"{target} exists already, and is damaged. Remove it or choose another --out.") from error
    if _plan_in(card) != _plan_in(_planned(recipe, origin, run={})):
        raise OutputError(
            f"{target} exists already, and is of another recipe or start. Remove it or choose another --out."
        )
    return card


def _plan_in(card: ModelCard) -> dict[str, object]:
    """Return the part of a card that is known before the training."""
    values = card.model_dump(mode="json", exclude=_RESULTS | {"recipe"})
    return values | {key: card.recipe.get(key) for key in (_RECIPE, _ORIGIN)}


def _scored(
    target: Path,
    weights: dict[str, npt.NDArray[np.generic]],
    card: ModelCard,
    sides: tuple[list[LabelledScene], list[LabelledScene]],
) -> tuple[ModelCard, ValidationResult]:
    """Score the stored weights, which are rounded; fit the temperature or the scores.

    The least score of an object is fitted on the training side.
    """
    images, held_out = sides
    with scratch_file(target) as unscored:
        card = write_model(unscored, weights, card)
        stored, _ = read_model(unscored)
    network = build(card.architecture.name, len(card.bands), len(card.legend), **card.architecture.options)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in stored.items()})
    network = network.eval().to(memory_format=torch.channels_last)
    if card.task == "instance":
        card = card.model_copy(update={"min_score": best_min_score(network, images, card)})
        card = calibrate_scores(network, held_out, card)
    if card.task == "interactive":
        found = clicks.score(network, held_out, card)
        return card.model_copy(update={"scores": found.scores}), found
    if card.task == "panoptic":
        card = card.model_copy(update={"min_score": best_thing_score(network, images, card)})
    found = validate(network, held_out, card)
    if card.task == "instance":
        scores = (*found.scores, *object_scores_of(network, held_out, card), *card.scores)
        return card.model_copy(update={"scores": scores}), found
    if card.task == "panoptic":
        scores = (*found.scores, *panoptic_scores_of(network, held_out, card))
        return card.model_copy(update={"scores": scores}), found
    card = card.model_copy(update={"scores": found.scores})
    return calibrate(network, held_out, card).card(card) if found.counts.sum() else card, found
