"""`python -m vidref`."""

from vidref.cli.main import main

main()
