"""Checks in a process of their own, and what keeps any check from touching the user's things."""
