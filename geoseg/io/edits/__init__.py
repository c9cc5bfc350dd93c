"""Files of corrections by hand: the log of edits, its areas on a grid, and their style."""
