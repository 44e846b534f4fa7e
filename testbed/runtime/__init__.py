"""What nodes and pods are made of. `interface` is what the kubelet sees; `netns` is the default."""
