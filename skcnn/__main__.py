"""``python -m skcnn`` is the command ``skcnn``."""

import sys

from skcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
