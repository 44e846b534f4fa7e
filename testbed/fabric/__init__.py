"""Topology -> Fabric: which machines there are and how they are wired, as values."""
