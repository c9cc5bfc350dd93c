"""Workers of a cluster: processes of this machine, the device of each, and its share of the work."""
