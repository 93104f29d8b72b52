"""The contract suite and what else tests of a plugin need."""
