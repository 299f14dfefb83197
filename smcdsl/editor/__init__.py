"""What editors are told: the language server, and the words that highlighters paint."""
