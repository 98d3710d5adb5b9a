"""Sampler Lab: races of samplers, put together and checked."""
