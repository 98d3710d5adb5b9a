"""Queues and workers, in Redis and RQ."""
