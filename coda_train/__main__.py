"""`python -m coda_train`."""

from coda_train.cli import main

main()
