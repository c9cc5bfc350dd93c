"""Tasks: what a network's answers become. Class maps are one; each task names its layers and puts blocks together."""
