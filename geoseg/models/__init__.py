"""Models: a card, its weights and a runtime, loaded, imported, exported and averaged."""
