"""``python -m wellposed``."""

import sys

from wellposed.cli.main import main

sys.exit(main())
