"""Training of interactive networks: clicks are drawn on the objects of chips, then where the network errs."""
