"""The whole table: its rows below the headings of the page."""

from __future__ import annotations

import file_cases
import output_cases
import reference_cases
import scene_cases
import value_cases

GROUPS = scene_cases.CASES | value_cases.CASES | file_cases.CASES | reference_cases.CASES | output_cases.CASES
CASES = [case for cases in GROUPS.values() for case in cases]
