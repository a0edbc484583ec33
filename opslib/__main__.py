from opslib.cli.commands import main

main()
