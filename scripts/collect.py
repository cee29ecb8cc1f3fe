"""`mtil collect` as a script."""

import sys

from mtil.cli import main

if __name__ == "__main__":
    main(["collect", *sys.argv[1:]])
