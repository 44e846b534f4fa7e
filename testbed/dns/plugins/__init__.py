"""A server's plug-ins, a file each, as CoreDNS calls them: what their lines say, and what they do."""
