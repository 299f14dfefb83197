"""Drafts: tokens proposed cheaply, and where they come from."""
