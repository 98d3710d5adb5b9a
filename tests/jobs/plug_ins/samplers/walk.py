"""The tests' sampler where `backend.catalogue` looks for samplers."""

from tests.jobs import tiny


class Walk(tiny.Walk):
    pass
