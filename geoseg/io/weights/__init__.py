"""Model files, checkpoints of other projects and ensemble files."""
