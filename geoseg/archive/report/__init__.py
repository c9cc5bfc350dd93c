"""What is told of an archive: catalogue, index, map and reports."""
