"""A module that imports one that does not exist."""

import a_module_that_nobody_has
