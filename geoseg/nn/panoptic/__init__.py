"""Networks that answer with a class for each pixel and an object for each thing."""
