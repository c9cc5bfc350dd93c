"""Options with a fixed set of values: the types that commands, configurations and functions take."""

from __future__ import annotations

from typing import Literal

RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime"]
"""The library that runs a network; ``auto``: the fastest that is installed."""

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""Arithmetic of a network; ``auto``: the fastest of the device. ``int8`` needs a model that was quantised."""

Tta = Literal["none", "flip", "d4"]
"""Views of a tile that are averaged: itself, 4 flips, or the 8 symmetries of the square."""

Blend = Literal["core", "taper"]
"""Blending of tiles: cut at their cores, or tapered into each other."""

ProgressStyle = Literal["auto", "json"]
"""Form of the progress on stderr: for people, or for programs."""

Neighbours = Literal["auto", "none"]
"""Pixels beyond the edges of an archive's scenes: read from its other scenes on the same grid, or not at all."""

SimplifyMethod = Literal["visvalingam", "douglas-peucker"]
"""Algorithms that simplify polygons."""

SplitMethod = Literal["none", "distance", "confidence"]
"""Criteria for splitting touching objects of one class."""

EditPolicy = Literal["refuse", "replay", "discard"]
"""Treatment of corrections by hand where a map is replaced."""

Suppression = Literal["hard", "soft", "merge"]
"""Treatment of repeated detections of one object: the best stays, the others lose score, or they are united."""

Overlaps = Literal["resolve", "keep"]
"""Pixels of several objects: they go to the object of the highest score, or to all."""

Alpha = Literal["auto", "yes", "no"]
"""Use of a band of a scene as mask."""

ScoreProtocol = Literal["classes", "isprs", "deepglobe", "binary"]
"""Protocols for comparing maps with references."""

FileProtocol = Literal[ScoreProtocol, "bsds"]
"""Protocols for single maps: ``bsds`` compares edges, which cannot be added up over an archive."""

Unanswered = Literal["ignore", "wrong"]
"""Labelled pixels without prediction."""

Allocation = Literal["proportional", "equal", "neyman"]
"""Allocation of the points of a sample to classes."""

ClickMethod = Literal["plain", "rgb-brs", "distmap-brs", "f-brs-a", "f-brs-b", "f-brs-c"]
"""How an answer is made to agree with clicks: not at all, or by changing the image, the maps of clicks, or the features
at one of three places."""
