"""The Pulumi program: the components of the Kubernetes target as component resources."""
