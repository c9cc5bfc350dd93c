"""Names for types that are used on all floors."""
