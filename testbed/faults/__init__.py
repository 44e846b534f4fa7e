"""What goes wrong on purpose: typed faults, and when each was effective.

Pure: what reaches into the lab (signals, store writes, waiting) is handed in by `lab`.
"""
