"""Pod addresses and what a pod's link looks like. Pure: `runtime` makes it so."""
