"""Exports: a run leaves Basin in forms that other programs read."""
