"""What begins to serve is watched: a version of a function, a deployment of a service, a task."""

from opslib.core.actions.watching.rollouts import Anew, OneOff, Rollout
from opslib.core.actions.watching.versions import Watch

__all__ = ["Anew", "OneOff", "Rollout", "Watch"]
