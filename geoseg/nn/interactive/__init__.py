"""Networks for interactive segmentation: an image and clicks on it give the mask of the object that is meant.

``geoseg.nn.interactive.contract`` states what they are called with and what they answer.
"""
