"""Kubernetes objects as frozen values: what the store holds and every planner reads. A file per kind or family.

Field names are Kubernetes' own in snake_case; times are seconds of CLOCK_MONOTONIC (`_s`). `model.manifest`
turns them into and out of Kubernetes' JSON.
"""
