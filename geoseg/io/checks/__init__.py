"""Checks that a finished file is a whole one of its format, each by its own reading of the format."""
