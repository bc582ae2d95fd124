"""The Kubernetes target: objects from the topology and from the servers that engines describe."""
