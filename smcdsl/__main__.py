"""`python -m smcdsl`."""

from smcdsl.cli.main import main

main()
