"""Where space meets tensors: match, predict, classify, train."""
