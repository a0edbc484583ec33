"""Sittings: procedures opened to be worked in. `notebooks/` is a catalogue that nobody works in."""

from opslib.sittings.opening import Opened, open_sitting

__all__ = ["Opened", "open_sitting"]
