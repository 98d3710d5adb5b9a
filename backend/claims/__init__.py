"""Published claims: recipes of runs, verdicts on them, and their report. Imports no torch."""
