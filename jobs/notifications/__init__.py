"""Notifications: word to people that runs ended."""
