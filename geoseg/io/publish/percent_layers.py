"""Rasters of percentages: what each one says, in titles, styles and roles. The one list of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoseg.core.legend import Legend
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.styles import CONFIDENCE_RAMP, Ramp, uncertainty_ramp

_MUTUAL_INFORMATION_SHOWN = 40
"""Mutual information has its brightest colour from here on: with n answers it is at most log n / log classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentLayer:
    """A raster of uint8 percentages, nodata 255.

    Attributes:
        key: in a STAC item and as description of the band.
        path: the COG.
        name: in QGIS.
        title: what a value says.
        role: its STAC role, beside ``data``.
        ramp: colours by percent.
    """

    key: str
    path: Path
    name: str
    title: str
    role: str
    ramp: Ramp


def percent_layers(bundle: Bundle, legend: Legend) -> tuple[PercentLayer, ...]:
    """Describe every raster of percentages that a bundle can hold; most runs write some of them."""
    probabilities = (
        PercentLayer(
            key=f"probability_{entry.code}",
            path=bundle.percentages(f"probability_{entry.code}"),
            name=f"Probability of {entry.name} (%)",
            title=f"Probability of class {entry.code}, {entry.name}, percent",
            role="probability",
            ramp=CONFIDENCE_RAMP,
        )
        for entry in legend.classes
    )
    return (
        PercentLayer(
            key="confidence",
            path=bundle.confidence,
            name="Confidence (%)",
            title="Probability of the chosen class, percent",
            role="confidence",
            ramp=CONFIDENCE_RAMP,
        ),
        PercentLayer(
            key="entropy",
            path=bundle.percentages("entropy"),
            name="Uncertainty: entropy (%)",
            title="Entropy of the class probabilities, percent of that of equal probabilities",
            role="uncertainty",
            ramp=uncertainty_ramp(100),
        ),
        PercentLayer(
            key="mutual_information",
            path=bundle.percentages("mutual_information"),
            name="Disagreement: mutual information (%)",
            title="Mutual information between class and answer: how far the averaged answers contradict each other, "
            "percent of the entropy of equal probabilities",
            role="uncertainty",
            ramp=uncertainty_ramp(_MUTUAL_INFORMATION_SHOWN),
        ),
        *probabilities,
    )
