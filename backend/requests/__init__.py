"""Requests to a trained method: samples under conditions, and the abilities it is asked for."""
