"""Checkpoints of mmsegmentation: names of tensors, and the configuration that is stored with them."""
