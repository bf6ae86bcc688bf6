"""Writes the first files of a project that extends the zoo."""

from zoo.scaffold.plugin import check_name, write_plugin

__all__ = ["check_name", "write_plugin"]
