"""What a .smc text means, as plain data."""
