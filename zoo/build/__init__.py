"""From an entry and its parameters to an object. Nothing else in the zoo calls a builder."""

from zoo.build.check import check_params, parameters
from zoo.build.construct import build
from zoo.build.signature import Parameter

__all__ = ["Parameter", "build", "check_params", "parameters"]
