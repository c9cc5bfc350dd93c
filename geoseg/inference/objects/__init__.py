"""Objects of a scene from the detections of its tiles: joined, freed of repetitions, drawn."""
