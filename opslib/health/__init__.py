"""The system's own answers: its probes, and what each of its parts says of itself."""

from opslib.health.health import Probe, check_dependencies, check_probes, probe

__all__ = [
    "Probe",
    "check_dependencies",
    "check_probes",
    "probe",
]
