"""QGIS projects, written without QGIS."""
