"""The joint plugin's datasets."""
