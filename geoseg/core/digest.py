"""Digests that name content: canonical JSON, sha256."""

from __future__ import annotations

import hashlib
import json


def sha256_of_json(value: object) -> str:
    """Hash a JSON value in its canonical form: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
