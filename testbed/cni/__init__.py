"""CNI from both sides: running anybody's plug-ins by the specification, and being plug-ins for anybody."""
