"""Commands that race samplers and draw from runs."""
