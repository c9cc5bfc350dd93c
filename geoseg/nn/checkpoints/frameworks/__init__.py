"""Layouts of frameworks that hold networks of several papers."""
