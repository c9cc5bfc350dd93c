"""Objects: the regions of a class, and what is inside them when they are split where they are narrow."""
