"""Shipped grammars, one `.lark` file a library; installed as `smcdsl.grammars`."""
