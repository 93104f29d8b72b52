"""The datasets of the text plugin, one module each."""
