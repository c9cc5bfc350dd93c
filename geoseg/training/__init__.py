"""Training: recipes, losses, the learner, its report and the model file that comes of it."""
