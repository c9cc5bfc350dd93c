"""Where the layers and records of an archive are kept: a folder, or an object store."""
