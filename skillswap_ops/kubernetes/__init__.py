"""The command line's side of the Kubernetes target: which engines, which context."""
