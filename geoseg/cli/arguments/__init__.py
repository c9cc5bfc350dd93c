"""Arguments and options that several commands share, turned into values."""
