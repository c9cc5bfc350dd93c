"""Training: recipes, losses, the Lightning module, reports and the resulting model file."""
