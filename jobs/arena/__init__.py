"""Arena: blind votes between sample sets of runs that learned the same data, and their ranking."""
