"""Objects that others add: by entry point of an installed package, or in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from longembed_st.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind, each under a name of its own.

    Args:
        group: The entry-point group by which installed packages add to it.
        kind: What the objects are, for messages.
        name_of: Returns the name of an object; raises `ConfigError` for one of another kind.
        own: The objects that it begins with.
    """

    def __init__(
        self, group: str, kind: str, name_of: Callable[[Any, str], str], own: Iterable[T] = ()
    ) -> None:
        self._group = group
        self._kind = kind
        self._name_of = name_of
        self._added: dict[str, T] = {name_of(item, repr(item)): item for item in own}
        self._installed: dict[str, T] | None = None

    def register(self, item: T) -> T:
        """Add an object in this process.

        Raises:
            ConfigError: If it is of another kind, or its name is taken.
        """
        name = self._name_of(item, repr(item))
        taken = self.all().get(name)
        if taken is not None and taken != item:
            raise ConfigError(
                f"the {self._kind} name {name!r} is taken by {taken!r}; choose another one"
            )
        self._added[name] = item
        return item

    def all(self) -> dict[str, T]:
        """Return all objects, sorted by name.

        Raises:
            ConfigError: If an installed package has registered something unusable.
        """
        if self._installed is None:
            self._installed = self._load()
        return dict(sorted({**self._added, **self._installed}.items()))

    def _load(self) -> dict[str, T]:
        items: dict[str, T] = {}
        for name, where, item in load_entry_points(self._group, self._kind):
            own_name = self._name_of(item, where)
            if own_name != name:
                raise ConfigError(f"{where} calls itself {own_name!r}: register it under that name")
            taken = items.get(name, self._added.get(name, item))
            if taken != item:
                raise ConfigError(
                    f"the {self._kind} name {name!r} is taken twice, by {where} and by {taken!r}; "
                    "uninstall or rename one"
                )
            items[name] = item
        return items


def load_entry_points(group: str, kind: str) -> Iterator[tuple[str, str, Any]]:
    """Load the objects that installed packages have registered.

    Args:
        group: The entry-point group.
        kind: What the group holds, for messages.

    Yields:
        The name of an object, its kind and place for messages, and the object; sorted by name.

    Raises:
        ConfigError: If an object cannot be imported.
    """
    for entry_point in sorted(entry_points(group=group), key=lambda e: e.name):
        where = f"{kind} {entry_point.name!r} ({entry_point.value})"
        try:
            loaded = entry_point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{where} cannot be imported: {error}; repair or uninstall the package that "
                "registers it"
            ) from error
        yield entry_point.name, where, loaded
