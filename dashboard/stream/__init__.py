"""The stream of live frames from runs to pages."""
