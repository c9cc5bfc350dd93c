"""Places of the layers and records of an archive: a folder, or an object store."""
