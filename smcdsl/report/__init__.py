"""Results and mistakes for readers: text, JSON, tables."""
