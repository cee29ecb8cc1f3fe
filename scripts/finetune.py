"""`mtil finetune` as a script."""

import sys

from mtil.cli import main

if __name__ == "__main__":
    main(["finetune", *sys.argv[1:]])
