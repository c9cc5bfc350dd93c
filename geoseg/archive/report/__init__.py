"""Published views of an archive: catalogue, index, map and reports."""
