"""What Prometheus scrapes: requests, calls to stores and services, breakers."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

# Seconds: a read by key, a majority write over zones, an election, the deadline.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STATES = ("closed", "half-opened", "opened")


class Metrics:
    """The metrics of one instance, in a registry of its own: several can live in one process."""

    def __init__(self, service: str, instance: str, version: str) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "skillswap_requests",
            "Requests by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "skillswap_request_seconds",
            "Duration of requests",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter(
            "skillswap_dependency_calls",
            "Calls to stores and services, by outcome (ok, error, unavailable, open)",
            ("dependency", "operation", "outcome"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "skillswap_dependency_seconds",
            "Duration of calls to stores and services, retries included",
            ("dependency", "operation"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._breakers = Gauge(
            "skillswap_breaker_state",
            "1 for the state that the circuit breaker is in",
            ("dependency", "state"),
            registry=self.registry,
        )
        self.websockets = Gauge(
            "skillswap_websockets", "Open WebSocket connections", registry=self.registry
        )
        info = Gauge(
            "skillswap_service_info",
            "Which instance this is",
            ("service", "instance", "version"),
            registry=self.registry,
        )
        info.labels(service, instance, version).set(1)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def call(self, dependency: str, operation: str, outcome: str, seconds: float) -> None:
        """A call to a store or a service has ended."""
        self._calls.labels(dependency, operation, outcome).inc()
        self._call_seconds.labels(dependency, operation).observe(seconds)

    def breaker(self, dependency: str, state: str) -> None:
        """A circuit breaker is in this state now."""
        for name in STATES:
            self._breakers.labels(dependency, name).set(name == state)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
