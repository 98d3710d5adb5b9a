"""Showing: a run's live page inside a notebook."""

from __future__ import annotations

from backend.errors import NotAvailable
from jobs.queueing import redis_store
from jobs.services import framing


def show_page(run_id: str, height: int, address: str) -> None:
    """Show the page of a run, as `basin.show` says."""
    page = framing.address_of(run_id, address or _address(run_id))
    try:
        from IPython.display import IFrame, display
    except ImportError as error:
        words = f"Pages are shown in notebooks, and there is no IPython here. Open {page} instead."
        raise NotAvailable(words) from error
    display(IFrame(page, "100%", height))


def _address(run_id: str) -> str:
    info = redis_store.connection_info()
    if redis_store.is_elsewhere(info) or not info.get("dashboard"):
        raise NotAvailable(
            "Basin is not running here: start it with `basin up`, or name the `address` that your "
            f"browser reaches it at. `basin.open({run_id!r}).figure()` needs no Basin."
        )
    return str(info["dashboard"])
