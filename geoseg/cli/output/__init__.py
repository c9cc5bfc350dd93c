"""What commands print: progress, tables and reports."""
