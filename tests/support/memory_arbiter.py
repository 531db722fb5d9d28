"""A simulator of the arbiter: claims in memory, and who made them may have ended."""

import threading
from dataclasses import dataclass, field


@dataclass
class Claims:
    """What all arbiters of one service share: who claimed an epoch, in which turn, and what became of it."""

    held: dict[tuple[str, int], tuple[object, int]] = field(default_factory=dict)
    written: set[tuple[str, int]] = field(default_factory=set)
    abandoned: set[tuple[str, int]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def arbiter(self) -> "MemoryArbiter":
        """Return the arbiter of a run that begins now; what others have claimed and not written can be taken over."""
        with self.lock:
            self.abandoned.update(self.held.keys() - self.written)
        return MemoryArbiter(self)


class MemoryArbiter:
    """The arbiter of one run."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def claim_once(self, name: str, epoch: int) -> int:
        claims, key = self._claims, (name, epoch)
        with claims.lock:
            holder, turn = claims.held.get(key, (None, 0))
            if holder is self and key not in claims.written:
                return turn
            if holder is not None and key not in claims.abandoned - claims.written:
                return 0
            claims.held[key] = (self, turn + 1)
            claims.abandoned.discard(key)
            return turn + 1

    def release(self, name: str, epoch: int) -> None:
        claims = self._claims
        with claims.lock:
            if claims.held.get((name, epoch), (None,))[0] is self:
                claims.written.add((name, epoch))
            for old in ((name, epoch - 1), (name, epoch - 2)):
                claims.held.pop(old, None)
                claims.written.discard(old)

    def withdraw(self, name: str, epoch: int) -> None:
        with self._claims.lock:
            if self._claims.held.get((name, epoch), (None,))[0] is self:
                del self._claims.held[name, epoch]
