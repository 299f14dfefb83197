"""Projects to start from: a folder each, with a program that runs at once on the embedded model."""
