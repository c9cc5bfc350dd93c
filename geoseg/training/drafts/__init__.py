"""New recipes: written from images and labels, and checked against them."""
