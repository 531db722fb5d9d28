"""The two families of errors: temporary (try again later) and permanent (somebody must act).

Each carries advice for the operator. Neither ever carries a secret: raise with names, never with values, and raise
``from None`` where the cause may hold one.
"""


class VigilesError(Exception):
    """The root of both families; never raised itself.

    Args:
        message: what happened, in one sentence, without any secret.
        advice: what the operator can do about it.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class TemporaryError(VigilesError):
    """Something did not answer, or is taken; the same call may succeed later."""


class PermanentError(VigilesError):
    """The same call will fail again until somebody changes something."""


class BadInputError(PermanentError):
    """What the user gave cannot be used; nothing was touched (exit code 2)."""
