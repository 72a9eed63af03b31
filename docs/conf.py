"""How Sphinx builds the documentation: `make docs`. The pages under reference/ are made from the package first."""

import sys
from pathlib import Path

from gradaudit import __version__

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

project = "gradaudit"
author = "the authors of gradaudit"
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings: list[str] = []
nitpicky = True

html_theme = "furo"
html_title = f"gradaudit {__version__}"
html_static_path = ["_static"]
html_css_files = ["gradaudit.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-light"
pygments_dark_style = "monokai"
# A lexer that does not know an output leaves it as it is: console blocks hold tables.
highlight_language = "text"


def setup(app):
    """Make the reference before Sphinx looks for pages."""
    from generation import write

    app.connect("builder-inited", lambda _: write(FOLDER / "reference"))
