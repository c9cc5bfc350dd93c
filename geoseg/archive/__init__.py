"""Archives: many scenes, one legend, one catalogue; what is done is known from the disk."""
