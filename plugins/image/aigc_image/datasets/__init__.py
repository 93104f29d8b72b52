"""The image data sets: where samples come from, one file each."""
