"""Requests and who answers them: schedules, generators, the echo server, samples, the ledger.

Pure except for `channel`, `connection`, `echo`, `generator` and `recorder`, whose processes stay apart from the
control plane: one interpreter lock must not colour a latency.
"""
