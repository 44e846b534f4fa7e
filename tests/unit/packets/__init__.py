"""Packets: decoding, telling, pcapng files."""
