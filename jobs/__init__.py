"""The work of Basin: queue, loop, run directories, command line."""
