"""Monitoring: alert rules, dashboards, and the local Prometheus."""
