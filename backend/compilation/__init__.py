"""Compiling the steps of samplers."""
