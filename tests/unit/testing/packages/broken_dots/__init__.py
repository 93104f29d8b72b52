"""What the dots plugin would be with one mistake in it; each class or function has its own."""
