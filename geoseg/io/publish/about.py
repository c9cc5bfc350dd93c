"""About: title, licence and lineage of a layer, for GIS programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from geoseg.io.publish.styles import xml_text


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Title, abstract, licence and lineage of a layer or a project.

    Attributes:
        title: title of the scene or the archive.
        abstract: a few sentences.
        licence: licences of the data and the model it was made with; empty when unknown.
        history: the lineage, one step each, the oldest first.
        keywords: search terms.
    """

    title: str
    abstract: str = ""
    licence: str = ""
    history: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()

    def of_layer(self, name: str, says: str = "") -> About:
        """Return the metadata of one layer: its own name, and a sentence before the abstract."""
        return replace(self, title=name, abstract=" ".join(part for part in (says, self.abstract) if part))

    def tags(self) -> dict[str, str]:
        """Return the metadata as baseline TIFF tags."""
        tags = {"TIFFTAG_IMAGEDESCRIPTION": self.abstract, "TIFFTAG_COPYRIGHT": self.licence}
        return {name: text for name, text in tags.items() if text}

    def text(self) -> str:
        """Return the metadata as one paragraph, for formats with a single text field."""
        licence = f"Licence: {self.licence}." if self.licence else ""
        return " ".join(part for part in (self.abstract, licence, *_sentences(self.history)) if part)


def metadata_node(about: About, tag: str = "resourceMetadata") -> ET.Element:
    """Write it as QGIS metadata of a layer (``resourceMetadata``) or a project (``projectMetadata``).

    Source:
        ``QgsAbstractMetadataBase::writeMetadataXml`` and ``QgsLayerMetadata::writeMetadataXml`` of QGIS 3.22.
    """
    node = ET.Element(tag)
    ET.SubElement(node, "type").text = "dataset" if tag == "resourceMetadata" else "project"
    ET.SubElement(node, "title").text = xml_text(about.title)
    ET.SubElement(node, "abstract").text = xml_text(about.abstract)
    if about.keywords:
        words = ET.SubElement(node, "keywords", vocabulary="geoseg")
        for word in about.keywords:
            ET.SubElement(words, "keyword").text = xml_text(word)
    for step in about.history:
        ET.SubElement(node, "history").text = xml_text(step)
    if about.licence and tag == "resourceMetadata":
        ET.SubElement(node, "license").text = xml_text(about.licence)
    return node


def _sentences(steps: Iterable[str]) -> list[str]:
    return [step if step.endswith(".") else f"{step}." for step in steps]
