"""Sittings: procedures opened to be worked in. `notebooks/` is a catalogue that nobody works in."""

from opslib.sittings.doors import door
from opslib.sittings.opening import Opened, open_sitting

__all__ = ["Opened", "door", "open_sitting"]
