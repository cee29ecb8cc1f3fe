"""`mtil train` as a script."""

import sys

from mtil.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
