"""`python -m daybook`: the same program as the command `daybook`."""

from daybook.cli.main import main

main()
