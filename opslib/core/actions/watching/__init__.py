"""What begins to serve is watched: a version of a function, a deployment of a service."""

from opslib.core.actions.watching.rollouts import Anew, Rollout
from opslib.core.actions.watching.versions import Watch

__all__ = ["Anew", "Rollout", "Watch"]
