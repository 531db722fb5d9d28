"""Secrets in Secret blocks of the Prefect server that the flow runs against."""

import json
import re
from threading import Lock
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    Permission,
    Quota,
    SecretAddress,
    SupersededError,
)
from blocks.secret_stores.record import Record, record_from_json
from blocks.secret_stores.secret_documents import PAGE, Row, SecretDocuments, explained, own_client
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, VigilesError
from rules.rotation import StepKind

LONGEST_NAME = 200
"""Characters of a secret's name: with what a record's name adds it stays below what PostgreSQL can index."""

_OURS = "vigiles--"
_NAME = re.compile(r"[a-z0-9-]+")
# What the server shows instead of a secret, and takes for "unchanged" when it is written.
_OBFUSCATED = "********"
_WRITING = (
    StepKind.CLAIM,
    StepKind.INTEND,
    StepKind.STAGE,
    StepKind.PROMOTE,
    StepKind.CONFIRM,
    StepKind.DISCARD,
    StepKind.FORGET,
)


class PrefectSecretStore(SidecarStore):
    """Keeps secrets in Prefect's own Secret blocks, of the server that the flow runs against, or of a Cloud workspace.

    Consumers go on with ``Secret.load("NAME").get()``; the block keeps its id. A text stays a text and a JSON object an
    object. Pending and previous versions and the journal are in another Secret block, ``vigiles--NAME--NUMBER``, whose
    number counts its versions: each write of it makes the next one and deletes the one before, and of two writers only
    one can make it. Whoever may read Secret blocks can read the pending value there.

    Two habits of Prefect: a JSON object, unlike a text that holds one, is shown to whoever may see the block at all;
    and ``Secret.get`` turns a text such as ``12345`` into a number, which no value generated here looks like.

    Example:
        ```python
        from blocks.secret_stores.prefect_secret import PrefectSecretStore

        prefect_secret_store = PrefectSecretStore.load("BLOCK_NAME")
        ```
    """

    # Prefect's server keeps names that begin with its own for itself.
    _block_type_name: ClassVar[str | None] = "Secret Block Store"
    _block_type_slug: ClassVar[str | None] = "prefect-secret-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Rotates what Prefect's own Secret blocks hold."

    fencing: ClassVar[str] = (
        "The record is only ever replaced by the next one in order, which one writer can make; the secret itself is "
        "written unconditionally, just after the record was seen in place, and read back, so a run that is superseded "
        "in that moment can still promote what it staged."
    )
    quota: ClassVar[Quota] = Quota(
        "none on a server of one's own; the API rate limit of the plan on Prefect Cloud", None, writes=10
    )

    prefix: str = Field(
        description="Only Secret blocks whose name begins with this may be rotated.", pattern="^[a-z0-9-]+$"
    )
    _opened: SecretDocuments | None = PrivateAttr(default=None)
    _opening: Lock = PrivateAttr(default_factory=Lock)

    def preflight(self, address: SecretAddress) -> None:
        """Check the name, and that the block and its record can be read (see ``SecretStore``)."""
        self.observe(address)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the one right there is; reading shows it on a server of one's own (see ``SecretStore``)."""
        self._checked(address)
        may_read = self._may_read(address)
        # On Cloud a role may read blocks and not write them.
        granted = None if may_read and self._documents().on_cloud else may_read
        return (Permission("read, create, update and delete blocks", f"secret/{address.secret}", _WRITING, granted),)

    def _load(self, address: SecretAddress) -> Loaded:
        name = self._checked(address)
        records = self._records(name)
        main = self._read(name)
        return Loaded(_text(main, address), _record(records[-1]) if records else None, main, records)

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        earlier: list[Row] = loaded.record_revision
        number = _number(earlier[-1]) + 1 if earlier else 1
        name = f"{_OURS}{address.secret}--{number}"
        like = loaded.main_revision or next(iter(earlier), None)
        made = self._create(name, json.dumps(record.to_json()), like)
        if made is None:
            raise _superseded(address)
        # Only who made a later record deletes one, the oldest first: so what was loaded is still there, or the number
        # was free because later ones came and went.
        if earlier and [self._delete(row["name"], row["id"]) for row in earlier][-1]:
            return
        if not earlier and self._is_last(address.secret, made):
            return
        self._delete(name, made)
        raise _superseded(address)

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        main: Row | None = loaded.main_revision
        record: Row = loaded.record_revision[-1]
        # A write and not a reading, as an old answer would not show that the record is gone.
        if not self._replace(record, record["data"]["value"]):
            raise _superseded(address)
        value = json.loads(text) if main is not None and isinstance(main["data"]["value"], dict) else text
        if main is None:
            written = self._create(address.secret, value, record) is not None
        else:
            written = self._replace(main, value)
        found = self._read(address.secret) if written else None
        if found is None or found["data"].get("value") != value:
            raise ConflictError(f"Somebody else writes secret/{address.secret}.", "See who, then run again.")

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        changed = super()._with_pair(address, text, pair)
        if changed == _OBFUSCATED or not _encodes(changed):
            raise PermanentError("A Secret block cannot hold this text.", "Look at what makes the value.")
        read = _decoded(changed)
        # One JSON object may replace another: consumers are used to it.
        usual = read == changed or (type(read) is type(_decoded(text)) and not isinstance(read, str))
        if not address.password and not usual:
            problem = "`Secret.get` would give this text to consumers as something else: it decodes JSON."
            raise PermanentError(problem, "Let what makes the value make one that is no JSON.")
        return changed

    def _checked(self, address: SecretAddress) -> str:
        name = address.secret
        if not name.startswith(self.prefix):
            message = f"Secret block `{name}` is none of those that begin with `{self.prefix}`."
            raise PermanentError(message, "Give `path` in the policy, or correct the prefix of the store's block.")
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name.startswith(_OURS):
            message = f"`{name}` is no name of a Secret block that can be rotated."
            advice = f"It has lower-case letters, digits and dashes, at most {LONGEST_NAME}, and is no record of ours."
            raise PermanentError(message, advice)
        return name

    def _may_read(self, address: SecretAddress) -> bool:
        try:
            self.observe(address)
        except DeniedError:
            return False
        return True

    def _records(self, name: str) -> list[Row]:
        """Return the records that are there, the last one at the end; more than one where a writer was interrupted."""
        begins = f"{_OURS}{name}--"
        rows = self._call(f"read_block_documents {begins}", lambda: self._documents().containing(begins))
        if len(rows) >= PAGE:
            raise PermanentError(f"Too many blocks have `{begins}` in their names.", "Rename the secret.")
        # Another secret's name may go on with dashes.
        ours = [row for row in rows if row["name"].startswith(begins) and row["name"][len(begins) :].isdecimal()]
        return sorted(ours, key=_number)

    def _is_last(self, name: str, made: str) -> bool:
        records = self._records(name)
        return bool(records) and records[-1]["id"] == made

    def _read(self, name: str) -> Row | None:
        return self._call(f"read_block_documents {name}", lambda: self._documents().named(name))

    def _create(self, name: str, value: object, like: Row | None) -> str | None:
        if like is None:
            self._call("read_block_type secret", lambda: self._documents().read_type())
            self._call("read_block_schemas secret", lambda: self._documents().read_schema())
        return self._call(f"create_block_document {name}", lambda: self._documents().create(name, value, like))

    def _replace(self, row: Row, value: object) -> bool:
        return self._call(f"update_block_document {row['name']}", lambda: self._documents().replace(row["id"], value))

    def _delete(self, name: str, document_id: str) -> bool:
        return self._call(f"delete_block_document {name}", lambda: self._documents().delete(document_id))

    def _documents(self) -> SecretDocuments:
        with self._opening:
            if self._opened is None:
                self._opened = SecretDocuments(own_client())
            return self._opened

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        return explained(operation, error)


def _number(record: Row) -> int:
    return int(record["name"].rpartition("--")[2])


def _record(row: Row) -> Record:
    try:
        return record_from_json(json.loads(row["data"]["value"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        advice = "Restore it; or, if no rotation was under way, delete it: the next run starts from the current value."
        failure = PermanentError(f"secret/{row['name']} is not what was written there.", advice)
    # Outside of `except`: the cause may hold a value.
    raise failure


def _text(main: Row | None, address: SecretAddress) -> str | None:
    if main is None:
        return None
    value = main["data"].get("value")
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and address.password and not main["block_document_references"]:
        return json.dumps(value)
    problem = f"secret/{address.secret} holds neither a text nor an object of which the policy names a field."
    raise PermanentError(problem, "Name the field as `key`, or save the block with a text.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(text: str | None) -> object:
    """Return what ``Secret.get`` makes of a text."""
    try:
        return json.loads(text or "-")
    except ValueError:
        return text


def _superseded(address: SecretAddress) -> SupersededError:
    return SupersededError(f"Another run has claimed secret/{address.secret}.", "Run again when it has ended.")
