"""What can go wrong with a remote call, put between a store and its service."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from support.stores.interface import Backend, intercept
from support.stores.world import World

from blocks.secret_stores.interface import SecretStore, StoreState
from rules.errors import PermanentError, VigilesError

Request = Callable[[], Any]


class Killed(BaseException):
    """The process ends here: nothing that a store does about errors happens."""


def lost_answer(backend: Backend, request: Request) -> Any:
    """The call has its effect, and the client sees a timeout."""
    request()
    raise backend.timeout()


def lost_request(backend: Backend, request: Request) -> Any:
    """The call never arrives, and the client sees a timeout."""
    raise backend.timeout()


def throttled(backend: Backend, request: Request) -> Any:
    """The service refuses the call for now."""
    raise backend.throttled()


def killed_before(backend: Backend, request: Request) -> Any:
    """The process ends before the call."""
    raise Killed


def killed_after(backend: Backend, request: Request) -> Any:
    """The process ends when the call has had its effect."""
    request()
    raise Killed


FAULTS = {f.__name__: f for f in (lost_answer, lost_request, throttled, killed_before, killed_after)}
"""Every fault by its name."""


def counted(world: World, step: str, seen: StoreState | None = None) -> list[str]:
    """Return the remote calls of one undisturbed write, in their order; of one from here, where something was seen."""
    calls: list[str] = []

    def act(operation: str, request: Request) -> Any:
        calls.append(operation)
        return request()

    seen = seen or world.before(step).state()
    world.call(step, intercept(world.backend.make(), act), seen)
    return calls


def disturbed(
    world: World, step: str, number: int, fault: Callable[[Request], Any], seen: StoreState | None = None
) -> BaseException | None:
    """Make a write whose remote call of this number (from 0) meets a fault; return what was raised.

    Only the write is disturbed, and not what comes before it.

    Args:
        world: the secret.
        step: the write.
        number: of the call.
        fault: makes the call, or does not, or does something else too.
        seen: what was seen, where the steps before are taken already.
    """
    count = iter(range(10_000))

    def act(operation: str, request: Request) -> Any:
        return fault(request) if next(count) == number else request()

    seen = seen or world.before(step).state()
    try:
        world.call(step, intercept(world.backend.make(), act), seen)
    except (VigilesError, Killed) as error:
        return error
    return None


def cases(world: World, step: str, fault: Callable[[Backend, Request], Any]) -> Iterator[tuple[World, Any]]:
    """Yield, for each remote call of a write, a world in which that call met the fault, and what was raised."""
    for number in range(len(counted(world, step))):
        struck = world.again()
        error = disturbed(struck, step, number, lambda request: fault(struck.backend, request))  # noqa: B023
        yield struck, error


class Memory:
    """Remembers the answers of a store's reading calls, and can give old ones instead of the present ones.

    Attributes:
        reads: how many reading calls passed since the last ``strike``.
    """

    def __init__(self, backend: Backend) -> None:
        self._prefixes = backend.reads
        self._answers: dict[str, list[tuple[int, Any]]] = {}
        self._age = 0
        self._stale: range = range(0)
        self.reads = 0

    def watch(self, store: SecretStore) -> SecretStore:
        """Let the calls of a block object pass here."""
        return intercept(store, self._act)

    def grow_old(self) -> None:
        """What was answered until now is old."""
        self._age += 1

    def strike(self, numbers: range) -> None:
        """Count the reading calls anew, and give those of these numbers the newest old answer, if there is one."""
        self.reads, self._stale = 0, numbers

    def _act(self, operation: str, request: Request) -> Any:
        if not operation.startswith(self._prefixes):
            return request()
        answers = self._answers.setdefault(operation, [])
        number, self.reads = self.reads, self.reads + 1
        old = [answer for age, answer in answers if age < self._age]
        if number in self._stale and old:
            return _copied(old[-1])
        answer = request()
        answers.append((self._age, _copied(answer)))
        return answer


def _copied(answer: Any) -> Any:
    try:
        return deepcopy(answer)
    except TypeError:  # a client's object with a lock in it
        return answer


def failure(call: Callable[[], Any]) -> VigilesError | None:
    """Return the error of a call, or None where it succeeded."""
    try:
        call()
    except VigilesError as error:
        return error
    return None


def refusal(call: Callable[[], Any]) -> PermanentError | None:
    """Return the error of a call that somebody has to do something about, or None where the call succeeded."""
    try:
        call()
    except PermanentError as error:
        return error
    return None


def told(error: BaseException | None) -> str:
    """Return everything that an error says, and what it came from, however deep."""
    texts: list[str] = []
    todo, seen = [error], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        texts += [str(one), repr(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", ""))]
        todo += [one.__cause__, one.__context__]
    return "\n".join(texts)
