"""Figures, tables and the HTML page, from what `analysis` found. Computes nothing that a reader would cite."""
