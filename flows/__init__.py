"""Prefect flows over geoseg: decorators and orchestration, no pixel code. Each file runs plainly, too.

Their annotations are no strings (no ``from __future__ import annotations``): Prefect's runner loads a file without
entering it among the modules, so that pydantic could not find out what a string means and every run would fail.
"""
