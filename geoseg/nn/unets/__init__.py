"""U-Nets of other forms than ``geoseg.nn.unet``."""
