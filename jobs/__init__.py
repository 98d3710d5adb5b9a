"""The work of Basin: queue, loop, run directories, command line."""

from backend import former_names

former_names.install()
