"""Residual networks of one pathway: Slow, C2D, I3D, CSN, R(2+1)D."""

from zoo_registry import Model

ENTRIES: tuple[Model, ...] = ()
