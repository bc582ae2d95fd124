"""What carries the application: service stores today, the service catalogue and Kubernetes next."""
