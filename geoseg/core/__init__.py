"""Values and arithmetic: no tensors, no open files."""
