"""The datasets of the audio plugin, one module each."""
