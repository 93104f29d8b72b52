"""The video plugin's datasets."""
