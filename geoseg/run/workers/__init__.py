"""Workers of a cluster: processes of this machine, the device of each, and what each did."""
