"""Factors -> blocks -> trials -> a record on disk: how an experiment is designed, run, and gone on with.

What a trial does is written in `experiments/`; what its samples say is `analysis`'s.
"""
