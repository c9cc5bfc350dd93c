"""The kinds of sources a recipe may name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from geoseg.data.sources.annotated import CocoPanopticSource, CocoSource, LabelmeSource
from geoseg.data.sources.bsds import BsdsSource
from geoseg.data.sources.crackforest import CrackSource
from geoseg.data.sources.deepglobe import DeepGlobeSource
from geoseg.data.sources.edits import EditsSource
from geoseg.data.sources.files import FileSource
from geoseg.data.sources.folders import FolderSource
from geoseg.data.sources.georeferenced import GeoreferencedSource
from geoseg.data.sources.idrid import IdridSource
from geoseg.data.sources.isbi import IsbiSource
from geoseg.data.sources.isprs import PotsdamSource, VaihingenSource
from geoseg.data.sources.kaggle import CloudSource, SaltSource
from geoseg.data.sources.torchgeo_sets import TorchgeoSource
from geoseg.data.sources.towns import TownSource

Source = Annotated[
    FileSource
    | TownSource
    | GeoreferencedSource
    | FolderSource
    | VaihingenSource
    | PotsdamSource
    | DeepGlobeSource
    | IsbiSource
    | BsdsSource
    | CloudSource
    | IdridSource
    | SaltSource
    | CrackSource
    | CocoSource
    | CocoPanopticSource
    | LabelmeSource
    | TorchgeoSource
    | EditsSource,
    Field(discriminator="kind"),
]
"""One entry of a recipe's ``sources``, discriminated by its ``kind``."""
