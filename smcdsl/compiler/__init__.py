"""Grammars and programs made runnable: regular languages, parse tables, plans."""
