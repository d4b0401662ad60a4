"""The one exception of this package that a user is meant to read."""


class CFTError(ValueError):
    """Bad input, in one sentence that names the field or file and says what to do.

    The command line prints the message alone and exits with status 1; inside Axolotl it
    ends the run like any configuration error.
    """
