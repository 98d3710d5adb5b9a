"""Benchmarks that the claims of speed and quality are made of."""
