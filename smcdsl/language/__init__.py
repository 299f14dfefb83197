"""From .smc text to Program."""
