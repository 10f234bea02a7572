"""What goes wrong with a stack, said in one line."""

from __future__ import annotations


class StackError(Exception):
    """A stack can't do what was asked; the message says what to do about it."""


class MissingTool(StackError):
    """Java or Maven is not on this machine, or not of the version that a server runs on."""
