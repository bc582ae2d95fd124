"""Probes that know the engine: a server that is busy getting well is alive, and not ready."""

from lightkube.models.core_v1 import (
    ExecAction,
    HTTPGetAction,
    Probe,
    TCPSocketAction,
)

from manifests.services.model import Probe as ServiceProbe
from manifests.services.model import Probes as ServiceProbes

STARTUP_PERIOD = 10
# Recovery from a journal or from WAL takes as long as it takes; killing it begins it anew.
STARTUP_FAILURES = 360

# Before its set is initiated a member is ready for that; then as primary, secondary or arbiter. In
# initial sync, recovery and rollback it is none of these, and alive.
MEMBER = "h=db.hello();quit(h.isreplicaset||h.isWritablePrimary||h.secondary||h.arbiterOnly?0:1)"
ROUTER = "quit(db.hello().msg==='isdbgrid'?0:1)"
# It says how far it is in every round; a thread that hangs for minutes says nothing any more.
ARCHIVER = 'test -n "$(find {state} -mmin -2)"'
# An answer, whatever it is of a client without a password; LOADING is none.
REDIS = "redis-cli{tls} -p {port} ping | grep -qE 'PONG|NOAUTH'"


def tcp(port: int, period: int = 10, failures: int = 3) -> Probe:
    """The port takes connections."""
    return Probe(
        tcpSocket=TCPSocketAction(port=port),
        periodSeconds=period,
        timeoutSeconds=5,
        failureThreshold=failures,
    )


def started(probe: Probe) -> Probe:
    """The same, for as long as a start may take."""
    return Probe(
        tcpSocket=probe.tcpSocket,
        httpGet=probe.httpGet,
        exec=probe.exec,
        periodSeconds=STARTUP_PERIOD,
        timeoutSeconds=5,
        failureThreshold=STARTUP_FAILURES,
    )


def mongosh(port: int, script: str, trust: str) -> Probe:
    """What MongoDB says of itself to anybody (`hello` asks for no password).

    It is verified by the file `trust`, without a name: the pod asks itself, over loopback.
    """
    secured = ["--tls", "--tlsCAFile", trust, "--tlsAllowInvalidHostnames"] if trust else []
    command = ["mongosh", "--quiet", "--norc", *secured, "--port", str(port), "--eval", script]
    return Probe(
        exec=ExecAction(command=command), periodSeconds=15, timeoutSeconds=10, failureThreshold=2
    )


def redis(port: int, trust: str) -> Probe:
    """Redis answers; verified by the file `trust`, where it speaks TLS."""
    return shell(REDIS.format(port=port, tls=f" --tls --cacert {trust}" if trust else ""))


def shell(command: str, period: int = 10) -> Probe:
    """A command of the image."""
    return Probe(
        exec=ExecAction(command=["sh", "-c", command]),
        periodSeconds=period,
        timeoutSeconds=5,
        failureThreshold=2,
    )


def http(path: str, port: int, period: int = 10, failures: int = 3, *, tls: bool = False) -> Probe:
    """A page that is answered with 200. By TLS Kubernetes looks at no certificate."""
    return Probe(
        httpGet=_page(path, port, tls=tls),
        periodSeconds=period,
        timeoutSeconds=5,
        failureThreshold=failures,
    )


def _page(path: str, port: int, *, tls: bool) -> HTTPGetAction:
    return HTTPGetAction(path=path, port=port, scheme="HTTPS" if tls else None)


def of_service(probe: ServiceProbe, port: int, *, tls: bool) -> Probe:
    """A probe of the catalogue; Kubernetes counts in whole seconds."""
    return Probe(
        httpGet=_page(probe.path, port, tls=tls),
        periodSeconds=max(1, round(probe.period)),
        timeoutSeconds=max(1, round(probe.timeout)),
        failureThreshold=probe.failures,
        successThreshold=probe.successes,
    )


def service_start(probes: ServiceProbes, port: int, *, tls: bool) -> Probe:
    """How long an instance may take until it is ready for the first time."""
    return Probe(
        httpGet=_page(probes.ready.path, port, tls=tls),
        periodSeconds=2,
        timeoutSeconds=2,
        failureThreshold=max(1, round(probes.startup_seconds / 2)),
    )
