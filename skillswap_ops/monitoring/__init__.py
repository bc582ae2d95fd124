"""The exporter: what is asked of a running cluster, for Prometheus."""
