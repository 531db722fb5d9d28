"""Rotation targets in memory, one of each kind, with the strictness that a service would have."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr

from blocks.rotation_targets.interface import RejectedError, RotationTarget
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError, VigilesError
from rules.rotation import Credential, TargetKind

KINDS = {
    "alternating": TargetKind.ALTERNATING,
    "dual": TargetKind.DUAL,
    "mint": TargetKind.MINT,
    "single-slot": TargetKind.SINGLE_SLOT,
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


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
    style: str = Field(default="", description="A kind; by default it follows from the number of accounts.")
    cap: int = Field(default=2, description="Passwords of an account, or minted credentials, at a time.")
    _accepted: dict[str, list[str]] = PrivateAttr(default_factory=dict)
    _credentials: dict[str, Credential] = PrivateAttr(default_factory=dict)
    _minted: list[str] = PrivateAttr(default_factory=list)
    _removed: set[str] = PrivateAttr(default_factory=set)
    _failures: list[tuple[str, bool, Exception]] = PrivateAttr(default_factory=list)
    _act: Callable[[str, Callable[[], Any]], Any] | None = PrivateAttr(default=None)
    _subject: tuple[str, str | None] | None = PrivateAttr(default=None)
    _now: Callable[[], datetime] = PrivateAttr(default_factory=lambda: _utc_now)

    def again(self) -> "MemoryTarget":
        """Return another block object over the same accounts, as another process would have it."""
        target = type(self)(accounts=self.accounts, style=self.style, cap=self.cap)
        for shared in ("_accepted", "_credentials", "_minted", "_removed", "_failures", "_now"):
            setattr(target, shared, getattr(self, shared))
        return target

    @property
    def subject(self) -> tuple[str, str | None] | None:
        """Account (or credential id) and password, where there is one, that the call under way is about."""
        return self._subject

    @property
    def minted(self) -> frozenset[str]:
        """Ids of the credentials that it minted itself."""
        return frozenset(self._minted)

    def fail_next(self, call: str, error: VigilesError | Exception, *, after_effect: bool = False) -> None:
        """Let the next such call raise, before or after it had its effect."""
        self._failures.append((call, after_effect, error))

    def give(self, account: str, password: str | None) -> None:
        """Set what an account accepts, as its administrator does."""
        self._accepted[account] = [password] if password is not None else []
        if self.kind is TargetKind.MINT:
            self._credentials[account] = Credential(account, self._now(), used=False)

    def remove(self, account: str) -> None:
        """Delete an account, or a credential, as its administrator does."""
        self._removed.add(account)
        self._delete(account)

    def accepts(self, account: str | None, password: str) -> bool:
        """Log in as a consumer does."""
        name = account or self.accounts[0]
        enabled = name not in self._credentials or self._credentials[name].enabled
        return enabled and password in self._accepted.get(name, [])

    @property
    def living(self) -> dict[str, list[str]]:
        """Every password that is accepted, by account or credential id."""
        return {name: held for name, held in self._accepted.items() if held and self.accepts(name, held[0])}

    @property
    def kind(self) -> TargetKind:
        if self.style:
            return KINDS[self.style]
        return TargetKind.ALTERNATING if len(self.accounts) > 1 else TargetKind.SINGLE_SLOT

    @property
    def capacity(self) -> int | None:
        return self.cap if self.kind is TargetKind.MINT else None

    @property
    def call_seconds(self) -> float:
        return 1.0

    def preflight(self) -> None:
        self._remote("preflight", lambda: None)

    def next_username(self, current: str | None) -> str | None:
        return next((account for account in self.accounts if account != current), current)

    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:
        account, password = self._pair(pending)
        self._remote("apply", lambda: self._set(account, password), account, password)

    def authenticates(self, version: SecretVersion) -> bool:
        account, password = self._pair(version)
        return bool(self._remote("authenticates", lambda: self.accepts(account, password), account, password))

    def retire(self, previous: SecretVersion, current: SecretVersion | None) -> None:
        if current is not None and self._same(previous, current):
            raise PermanentError("In use.")
        account, password = self._pair(previous)
        self._remote("retire", lambda: self._disable(account, password), account, password)

    def credentials(self) -> tuple[Credential, ...]:
        return tuple(self._remote("credentials", lambda: list(self._credentials.values())))

    def mint(self) -> SecretVersion:
        minted: SecretVersion = self._remote("mint", self._mint)
        return minted

    def revoke(self, credential_id: str) -> None:
        self._remote("revoke", lambda: self._delete(credential_id), credential_id)

    def destroy(self, previous: SecretVersion) -> None:
        if self.kind is TargetKind.MINT:
            account, password = self._pair(previous)
            self._remote("destroy", lambda: self._delete(account), account, password)

    def _set(self, account: str, password: str) -> None:
        if account in self._removed:
            raise PermanentError("There is no such account.")
        if len(password) < 8:
            raise RejectedError("Too short.")
        held = self._accepted.setdefault(account, [])
        if self.kind is not TargetKind.DUAL:
            self._accepted[account] = [password]
        elif password not in held:
            if len(held) >= self.cap:
                raise PermanentError("The account has all the passwords it may have.")
            held.append(password)

    def _disable(self, account: str, password: str) -> None:
        if account in self._credentials:
            known = self._credentials[account]
            self._credentials[account] = Credential(known.id, known.created_at, known.used, enabled=False)
        else:
            self._accepted[account] = [p for p in self._accepted.get(account, []) if p != password]

    def _delete(self, credential_id: str) -> None:
        self._credentials.pop(credential_id, None)
        self._accepted.pop(credential_id, None)

    def _mint(self) -> SecretVersion:
        if len(self._credentials) >= self.cap:
            raise PermanentError("All the credentials that there may be exist.")
        name, password = f"key{len(self._minted) + 1}", f"minted-{secrets.token_hex(12)}"
        self._minted.append(name)
        self._accepted[name] = [password]
        self._credentials[name] = Credential(name, self._now(), used=False)
        return SecretVersion(id=name, username=name, password=SecretStr(password))

    def _same(self, one: SecretVersion, other: SecretVersion) -> bool:
        passwords = one.password.get_secret_value() == other.password.get_secret_value()
        return self._account(one) == self._account(other) and (self.kind is not TargetKind.DUAL or passwords)

    def _account(self, version: SecretVersion) -> str:
        return version.username or self.accounts[0]

    def _pair(self, version: SecretVersion) -> tuple[str, str]:
        return (self._account(version), version.password.get_secret_value())

    def _remote(
        self, call: str, request: Callable[[], Any], account: str | None = None, password: str | None = None
    ) -> Any:
        self._subject = (account, password) if account is not None else None
        self._maybe_fail(call, after_effect=False)
        result = self._act(call, request) if self._act else request()
        self._maybe_fail(call, after_effect=True)
        return result

    def _maybe_fail(self, call: str, *, after_effect: bool) -> None:
        for planned in self._failures:
            if planned[:2] == (call, after_effect):
                self._failures.remove(planned)
                raise planned[2]
