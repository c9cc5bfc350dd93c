"""The command as a process: its signals, its standard streams, the errors that end it."""
