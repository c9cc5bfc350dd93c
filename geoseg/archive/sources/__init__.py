"""Where the scenes of an archive come from, and their names."""
