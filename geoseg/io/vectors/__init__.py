"""Vector files that carry areas, objects or labels, read in one way by every command."""
