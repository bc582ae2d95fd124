"""The Kubernetes target: pods as servers, through Kubernetes' own API."""
