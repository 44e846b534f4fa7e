"""Samples and events of a stored run -> figures with intervals, verdicts, and whether a trial is valid.

Reads results and runs nothing, so old runs can be analysed again. What a figure means is MEASURING.md's; how it
looks is `report`'s.
"""
