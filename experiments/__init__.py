"""The testbed's own experiments, one file each (docs/experiments.md)."""
