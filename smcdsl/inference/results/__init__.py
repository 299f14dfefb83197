"""Results: what a finished run is read as."""
