"""A module that ends the process that imports it."""

import os
import sys

if "broken_dots.exits" in sys.modules:
    sys.stderr.write("goodbye\n")
    sys.stderr.flush()
    os._exit(3)
