"""`python -m eastwest`."""

import sys

from eastwest.cli.main import main

sys.exit(main())
