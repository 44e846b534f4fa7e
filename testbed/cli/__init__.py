"""The command `testbed`: one file per command, and `output`, which prints what they return.

A command reads arguments, calls one thing below it, and prints; anything that decides lives further up.
Modules import what is heavy inside their functions: `testbed --version` must answer at once.
"""
