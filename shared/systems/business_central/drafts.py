"""The operations of a `$batch` as received, before they are validated."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import Field

from shared.core.problems import Mistake
from shared.systems.operations import BatchForm, BatchOptions
from shared.validation.models import MistakeList, Path, pointer

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
MOST_HEADS = 1000


class Options(BatchOptions):
    """The reserved member `nightshift`; it is not sent to the system."""

    settleBy: list[str] | None = Field(  # noqa: N815 - as callers write it
        default=None, min_length=1, max_length=8, description="Fields that identify a created record."
    )
    company: str | None = Field(
        default=None, min_length=1, max_length=200, description="The company for operations that name none."
    )
    documentsInOrder: bool = Field(  # noqa: N815 - as callers write it
        default=True, description="Writes to one document are sent in order, never in parallel."
    )


BodyKind = Literal["none", "null", "object", "text", "other"]
"""What kind of JSON value a body is."""


@dataclass(slots=True, eq=False)
class Head:
    """What many operations of a body have in common; a member with a mistake is empty.

    `host` is the header Host of a part of a multipart body.
    """

    method: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = NO_HEADERS
    body_kind: BodyKind = "none"
    host: str | None = None


class More(NamedTuple):
    """What few operations have: on which others they depend, their group, and where they are in a multipart body.

    `part` is the number of their part, `line` the line in which their request begins.
    """

    depends: Sequence[str] = ()
    group: str | None = None
    part: str | None = None
    line: int = 0


_NO_MORE = More()


@dataclass(slots=True, eq=False)
class Draft:
    """One operation as received; a member with a mistake is empty here, and the mistake is recorded in `Written`.

    Its body is that piece of `data`; without one, `end` is 0.
    """

    head: Head
    id: str | None = None
    data: bytes = b""
    begin: int = 0
    end: int = 0
    more: More = _NO_MORE


class Drafts:
    """All operations of a body, in columns: as objects, 40,000 would need as much memory as the body.

    Attributes:
        heads: Their heads.
        ids: Their ids.
        data: What their bodies are pieces of.
        begins: Where their bodies begin.
        ends: Where these end; 0 for no body.
    """

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.ids: list[str | None] = []
        self.data: list[bytes] = []
        self.begins = array("Q")
        self.ends = array("Q")
        self._more: dict[int, More] = {}

    def __len__(self) -> int:
        """Return their number."""
        return len(self.heads)

    def append(self, draft: Draft) -> None:
        """Add an operation."""
        if draft.more != _NO_MORE:
            self._more[len(self.heads)] = draft.more
        self.heads.append(draft.head)
        self.ids.append(draft.id)
        self.data.append(draft.data)
        self.begins.append(draft.begin)
        self.ends.append(draft.end)

    def more_of(self, position: int) -> More:
        """Return what few operations have of the one at a position."""
        return self._more.get(position, _NO_MORE)

    @property
    def groups(self) -> list[str]:
        """The group of each operation that has one."""
        return [one.group for one in self._more.values() if one.group]


@dataclass
class Written:
    """A whole body as received; `content_ids` has the Content-IDs of operations whose id is another one, by that id."""

    drafts: Drafts = field(default_factory=Drafts)
    options: Options = field(default_factory=Options)
    mistakes: MistakeList = field(default_factory=MistakeList)
    form: BatchForm = "json"
    content_ids: dict[str, str] = field(default_factory=dict)
    heads: dict[tuple[object, ...], Head] = field(default_factory=dict)
    """The heads so far, by all that they have."""
    usual: dict[tuple[object, ...], Head] = field(default_factory=dict)
    """Those of operations without mistakes, as written."""

    def shared(self, head: Head) -> Head:
        """Return the first head that is equal to this one."""
        key = (head.method, head.url, head.body_kind, head.host, *head.headers.items())
        return self.heads.setdefault(key, head) if len(self.heads) < MOST_HEADS else self.heads.get(key, head)

    def path(self, position: int) -> Path:
        """Return the path of the operation at a position."""
        part = self.drafts.more_of(position).part
        return ("requests", position) if part is None else ("parts", part)

    def mistake(self, position: int, detail: str, *path: str | int) -> Mistake:
        """Return a mistake in the operation at a position."""
        line = self.drafts.more_of(position).line
        text = f"{detail} (line {line})" if line else detail
        return Mistake(text, pointer((*self.path(position), *path)))
