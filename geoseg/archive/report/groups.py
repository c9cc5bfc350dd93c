"""Class areas by group: the folders and the months of an archive's scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from geoseg.archive.record import SceneRecord

_MOST_GROUPS = 500
_OTHERS = "others"


@dataclass(slots=True)
class Group:
    """Totals over the finished scenes of one group.

    Attributes:
        scenes: number of them.
        areas_m2: true area of each class by its name.
    """

    scenes: int = 0
    areas_m2: dict[str, float] = field(default_factory=dict)

    @property
    def area_m2(self) -> float:
        """True ground area of all classes."""
        return sum(self.areas_m2.values())


@dataclass(slots=True)
class Groups:
    """Totals by folder and by month; the first 500 groups of each kind have names, the rest is one.

    Attributes:
        folders: by the folder of the scene in its source; empty text for scenes that lie in none.
        months: by the month of the imagery, ``2026-05``, where the source tells the time.
    """

    folders: dict[str, Group] = field(default_factory=dict)
    months: dict[str, Group] = field(default_factory=dict)

    def add(self, record: SceneRecord) -> None:
        """Add a finished scene."""
        _add(self.folders, record.name.rpartition("--")[0].replace("--", "/"), record.class_areas_m2)
        if len(record.time) >= 7:
            _add(self.months, record.time[:7], record.class_areas_m2)

    def shown(self) -> dict[str, dict[str, Group]]:
        """Return the groups of each kind that has more than one, sorted by name."""
        kinds = {"folder": self.folders, "month": self.months}
        return {kind: dict(sorted(groups.items())) for kind, groups in kinds.items() if len(groups) > 1}


def _add(groups: dict[str, Group], name: str, areas_m2: Mapping[str, float]) -> None:
    if name not in groups and len(groups) >= _MOST_GROUPS:
        name = _OTHERS
    group = groups.setdefault(name, Group())
    group.scenes += 1
    for label, area_m2 in areas_m2.items():
        group.areas_m2[label] = group.areas_m2.get(label, 0.0) + area_m2
