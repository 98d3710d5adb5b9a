"""Things to observe about a run, one file each: see `backend/observe/observer.py`."""
