"""Networks of other libraries under their own names, behind the registry's contract."""
