"""Runs: plan the blocks of a scene, predict them on workers, resume, and write the layers."""
