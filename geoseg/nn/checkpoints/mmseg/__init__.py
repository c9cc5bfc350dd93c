"""Checkpoints of mmsegmentation: names of tensors, and the configuration that is written beside them."""
