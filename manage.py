#!/usr/bin/env python3
"""Run a Django command of FR02."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from fr02.host import SetupError


def main() -> None:
    """Run the command; what the set-up lacks is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
    try:
        execute_from_command_line(sys.argv)
    except SetupError as error:
        sys.exit(f"FR02\u00a0: {error}")
    except OperationalError as error:
        sys.exit(f"FR02\u00a0: la base de données ne répond pas. {str(error).strip().splitlines()[0]}")


if __name__ == "__main__":
    main()
