"""A rotation target in memory: accounts and their passwords, of either kind."""

from typing import Any

from pydantic import Field, PrivateAttr

from blocks.rotation_targets.interface import RotationTarget
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError, VigilesError
from rules.rotation import TargetKind


class MemoryTarget(RotationTarget):
    """Checks passwords in memory, for tests.

    Example:
        ```python
        from support.memory_target import MemoryTarget

        memory_target = MemoryTarget.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Memory Target"
    _block_type_slug = "memory-target"
    _documentation_url: Any = "https://docs.prefect.io/v3/concepts/blocks"

    accounts: list[str] = Field(description="One account, or two that take turns.")
    _passwords: dict[str, str | None] = PrivateAttr(default_factory=dict)
    _failures: list[tuple[str, bool, Exception]] = PrivateAttr(default_factory=list)

    def fail_next(self, call: str, error: VigilesError | Exception, *, after_effect: bool = False) -> None:
        """Let the next such call raise, before or after it had its effect."""
        self._failures.append((call, after_effect, error))

    def give(self, account: str, password: str | None) -> None:
        self._passwords[account] = password

    @property
    def kind(self) -> TargetKind:
        return TargetKind.ALTERNATING if len(self.accounts) > 1 else TargetKind.SINGLE_SLOT

    @property
    def call_seconds(self) -> float:
        return 1.0

    def preflight(self) -> None:
        self._maybe_fail("preflight", after_effect=False)

    def next_username(self, current: str | None) -> str | None:
        return next((account for account in self.accounts if account != current), current)

    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:
        self._maybe_fail("apply", after_effect=False)
        self._passwords[self._account(pending)] = pending.password.get_secret_value()
        self._maybe_fail("apply", after_effect=True)

    def authenticates(self, version: SecretVersion) -> bool:
        self._maybe_fail("authenticates", after_effect=False)
        return self._passwords.get(self._account(version)) == version.password.get_secret_value()

    def retire(self, previous: SecretVersion, current: SecretVersion) -> None:
        self._maybe_fail("retire", after_effect=False)
        if self._account(previous) == self._account(current):
            raise PermanentError("In use.")
        self._passwords[self._account(previous)] = None
        self._maybe_fail("retire", after_effect=True)

    def _account(self, version: SecretVersion) -> str:
        return version.username or self.accounts[0]

    def _maybe_fail(self, call: str, *, after_effect: bool) -> None:
        for planned in self._failures:
            if planned[:2] == (call, after_effect):
                self._failures.remove(planned)
                raise planned[2]
