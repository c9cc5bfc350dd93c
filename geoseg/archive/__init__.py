"""Archives: many scenes, one legend, one catalogue; the state of each scene is kept on disk."""
