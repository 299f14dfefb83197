"""Names to grammars and signatures: the project's own first, then what ships."""
