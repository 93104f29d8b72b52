"""Class names that several datasets share."""

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""Words, so that ``--label seven`` works as well as ``--label 7``."""
