"""Prefect flows over geoseg: decorators and orchestration, no pixel code. The files in ``flows/`` run them.

Annotations of flows are no strings (no ``from __future__ import annotations``): Prefect may load a file by its path,
without entering it among the modules, so that pydantic could not find out what a string means.
"""

import geoseg.flows.telemetry_off  # noqa: F401 - before prefect, which reports home as it is imported
