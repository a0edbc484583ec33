from opslib.cli import main

main()
