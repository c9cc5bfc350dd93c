"""Checks that a finished file is a valid, complete file of its format, independent of the writers."""
