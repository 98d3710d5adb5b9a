"""Commands by which data come in, and runs come and go."""
