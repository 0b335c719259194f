"""The errors a user can meet: each is one sentence that says what, where, and what to do.

Everything a wrong input can cause is a `VidrefError`; the CLI prints its text and exits with its
`exit_code`. Anything else that escapes is a bug and keeps its traceback.
"""


class VidrefError(Exception):
    """Base of everything that is the input's fault, or the machine's, and not ours."""

    exit_code = 2


class InputError(VidrefError):
    """A file or folder that cannot be read as what it should be."""


class OutputError(VidrefError):
    """The result cannot be written where, or as what, it was asked to be."""


class UnsupportedStreamError(OutputError):
    """The output container or codec cannot hold something that the source has."""


class SettingsError(VidrefError):
    """A setting that is unknown, of the wrong type, or out of range."""


class ModelError(VidrefError):
    """Weights that are missing, damaged, tampered with, or of the wrong kind."""


class MissingDependencyError(VidrefError):
    """An optional package that this feature needs is not installed."""


class Interrupted(VidrefError):
    """The user stopped the run; the original is untouched."""

    exit_code = 130
