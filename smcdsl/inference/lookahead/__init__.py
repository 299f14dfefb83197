"""Lookahead: positive functions of where a particle stands, learned and compiled, for proposals."""
