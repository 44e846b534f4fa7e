"""A lab's own world: entering it, and what a command inside sees of it."""
