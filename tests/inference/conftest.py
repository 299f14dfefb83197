"""Makes what lies beside it importable for the tests in the folders below."""
