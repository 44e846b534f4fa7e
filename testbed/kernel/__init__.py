"""The one doorway to the kernel: namespaces, netlink, running commands, finding features."""
