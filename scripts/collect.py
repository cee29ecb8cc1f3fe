"""`mtil collect` as a script."""

import sys

from mtil.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "collect")
    main()
