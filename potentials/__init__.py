"""Shipped potentials, one module a library; installed as `smcdsl.potentials`."""
