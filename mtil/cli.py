"""The command line. Every heavy import stands inside the command that needs it, so that `--help` answers at once."""
