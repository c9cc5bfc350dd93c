"""Private defaults, set as this module is imported: Prefect reports to its makers from its own import on.

Import it before ``prefect``. What the user has set already stays.
"""

from __future__ import annotations

import os

DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_API_HOST": "127.0.0.1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}
"""Telemetry of client and server off; a server that is started is for this machine only and may take its time."""

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
