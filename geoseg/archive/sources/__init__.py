"""Sources of an archive's scenes, and the names of scenes."""
