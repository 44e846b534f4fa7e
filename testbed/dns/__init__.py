"""Names and their answers: the wire format, what a cluster's names mean, and who asks and answers.

Pure except for what has sockets (docs/architecture.md). Queries take the path of all service traffic: nothing
here knows rules.
"""
