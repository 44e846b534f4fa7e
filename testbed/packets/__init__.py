"""Packets as bytes and as values: decoding them, telling of them in a line, files of them.

Pure: no sockets, no files; what captures them is `lab.capture_process`.
"""
