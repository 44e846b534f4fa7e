"""What has been reported against kube-proxy, each report as a value: how to provoke it, and how to judge it.

Built like `testbed.claims`, whose stage, scenes and judgements it uses; a file is a subject.
"""
