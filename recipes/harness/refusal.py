"""The error for a request that cannot be served, told in one sentence."""


class RefusalError(ValueError):
    """A request is refused: the message says what came and what is allowed.

    The command prints the message alone and exits with 2, since a stack trace
    would tell the user nothing more.
    """
