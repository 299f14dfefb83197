"""Grammar texts in other notations, read into `Grammar`."""
