"""What is said of Kubernetes networking, each claim as a value: how to observe it, and how to judge it.

A file is a subject. Observing drives a lab and returns plain figures; judging is pure, also of stored runs.
"""
