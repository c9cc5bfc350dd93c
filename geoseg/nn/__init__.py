"""Networks: torch modules by name. Knows no CRS, no file and no tile."""

from geoseg.nn.zoo.registry import NETWORKS, build

__all__ = ["NETWORKS", "build"]
