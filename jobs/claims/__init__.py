"""Reproductions of published claims: their runs and results."""
