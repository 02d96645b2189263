"""`python -m coda_lsp`, the same as the `coda-lsp` command."""

from coda_lsp.cli import main

main()
