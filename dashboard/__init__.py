"""Dashboard: pages and live routes; never imports torch."""

from backend import former_names

former_names.install()
