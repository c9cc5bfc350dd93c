"""Processing algorithms: one class a file."""
