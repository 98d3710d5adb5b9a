"""Data sets: toys with a known density, the digits, and the user's own files."""
