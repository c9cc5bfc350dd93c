"""Areas and accuracies estimated from a sample."""
