"""The userspace proxy's process ■: one epoll loop per node that accepts, picks, dials and copies."""
