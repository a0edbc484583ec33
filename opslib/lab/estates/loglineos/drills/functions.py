"""Drills in the functions."""

from __future__ import annotations

from opslib.lab.estates.base import Drill

DRILLS: tuple[Drill, ...] = ()
