"""Objectives: how an energy is fitted from data and, where needed, from samples of the model."""
