"""Access to the pages and routes: who may ask, and what may be uploaded."""
