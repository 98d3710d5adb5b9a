"""Errors of Redis in words: the reason, and what to do about it."""

from __future__ import annotations

from urllib.parse import urlsplit

import redis

SECONDS = 1.0
"""How long a page or a command waits for an answer of Redis."""


def sentence(error: Exception, where: str) -> str:
    """Describe an error of Redis; `where`: its address, "" where that is not known."""
    name = f"Redis at {where}" if where else "Redis"
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.AuthorizationError)):
        return f"Redis refuses the password: {error}."
    if isinstance(error, redis.BusyLoadingError):
        return f"{name} is still loading its data. Try again in a moment."
    if isinstance(error, redis.TimeoutError):
        return f"{name} does not answer within {SECONDS:g} s."
    if isinstance(error, redis.ResponseError):
        message = str(error).rpartition("caused error: ")[2].strip().rstrip(".")
        return f"{name} answers but refuses: {message}. {_remedy(error, message)}".strip()
    return f"{name} does not answer. Start it with `basin up`."


def _remedy(error: redis.ResponseError, message: str) -> str:
    if isinstance(error, redis.exceptions.OutOfMemoryError):
        return "It is full: raise its `maxmemory`, or let it evict (`volatile-lru`)."
    if isinstance(error, redis.exceptions.ReadOnlyError):
        return "It is a replica: point BASIN_REDIS_URL at the primary."
    return "Its disk is full or fails: free some space." if message.startswith("MISCONF") else ""


def without_password(url: str) -> str:
    """Return the host and port (or path) of a Redis address; what may be shown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if parts.scheme == "unix":
        return parts.path
    host = f"[{host}]" if host and ":" in host else host or "localhost"
    return f"{host}:{port or 6379}{parts.path}"
