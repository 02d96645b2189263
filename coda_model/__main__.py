from coda_model.cli import main

main()
