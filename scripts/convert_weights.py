"""`maskrcnn convert` from a clone."""

import sys

from maskrcnn_jax.cli.main import main

if __name__ == "__main__":
    main(["convert", *sys.argv[1:]])
