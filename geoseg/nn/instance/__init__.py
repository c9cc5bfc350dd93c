"""Networks for instance segmentation: a box, a class, a score and a mask for every object.

They follow torchvision's detection convention; ``geoseg.nn.instance.contract`` states it.
"""
