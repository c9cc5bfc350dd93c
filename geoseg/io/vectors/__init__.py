"""Reading of vector files with areas, objects or labels, the same for every command."""
