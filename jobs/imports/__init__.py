"""Imports: runs that other programs recorded become runs of this home."""
