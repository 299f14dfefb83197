"""Speculation: several tokens for one pass of the target model, with the law unchanged."""
