"""Adapters: other libraries' loggers and records, onto runs of Basin. Each imports its library."""
