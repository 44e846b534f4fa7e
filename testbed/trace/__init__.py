"""One request, hop by hop: what was seen of it on the way, which rules it met, what the rules foretell.

Pure: evidence comes in as values (`lab.tracing` gathers it), an account goes out.
"""
