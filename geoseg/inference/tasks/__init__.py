"""Tasks: each turns network outputs into layers. A class map is one task; others can be registered."""
