"""The image datasets: where samples come from, one file each."""
