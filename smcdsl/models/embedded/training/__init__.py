"""Making the embedded model: its corpus and its training. Nothing here is imported when the model is used."""
