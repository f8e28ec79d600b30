"""`python -m tarazy`: the command line."""

from tarazy.pool.cli import main

main(prog_name="tarazy")
