"""Objects of S3-compatible stores."""
