"""`python -m jobs.cli`: how the supervisor starts its children."""

from jobs.cli import main

main(prog_name="basin")
