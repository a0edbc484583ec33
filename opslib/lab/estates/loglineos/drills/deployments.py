"""Drills in what is deployed: schema, infrastructure, permissions."""

from __future__ import annotations

from opslib.lab.estates.base import Drill

DRILLS: tuple[Drill, ...] = ()
