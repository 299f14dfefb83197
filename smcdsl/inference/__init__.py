"""Plan -> Posterior: Sequential Monte Carlo and its relatives."""
