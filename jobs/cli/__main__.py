"""Entry point of `python -m jobs.cli`, by which the supervisor starts its children."""

from jobs.cli import main

main(prog_name="basin")
