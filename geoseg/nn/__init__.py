"""Networks: torch modules by name. Knows no CRS, no file and no tile."""

from geoseg.nn.registry import NETWORKS, build

__all__ = ["NETWORKS", "build"]
