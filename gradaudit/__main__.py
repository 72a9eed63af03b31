"""`python -m gradaudit`, the same as `gradaudit`."""

from __future__ import annotations

from gradaudit.cli.main import main

if __name__ == "__main__":
    main()
