"""Errors that a user can cause and mend; the command line shows them as one line, without a traceback."""


class UserError(Exception):
    """Something the user can mend: a name, a value, a file. The message is one line that says what and how."""


class NonFiniteError(Exception):
    """A result is NaN or infinite, so the run stops and saves nothing of it."""


class StorageError(Exception):
    """A result could not be written; the message names the path and what is still there."""
