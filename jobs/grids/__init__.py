"""Grids of sample sets over settings of drawing, checkpoints, seeds and runs."""
