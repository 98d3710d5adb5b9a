"""Observing a run: what is looked at while a method learns, as pictures, tables and alarms."""
