"""Datasets of point clouds."""
