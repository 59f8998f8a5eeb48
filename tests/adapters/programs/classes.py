# SPDX-License-Identifier: Apache-2.0
"""Classes made at run time: every one of them is a cycle (its mro, its dict)."""
import abc
import collections
import dataclasses
import enum
import functools
import typing


def make():
    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: list = dataclasses.field(default_factory=list)

    @dataclasses.dataclass(slots=True, frozen=True)
    class Fixed:
        a: int = 1

    class Colour(enum.Enum):
        RED = 1
        BLUE = 2

    class Bits(enum.IntFlag):
        A = 1
        B = 2

    class Pair(typing.NamedTuple):
        left: int
        right: str = "r"

    class Base(abc.ABC):
        @abc.abstractmethod
        def value(self):
            ...

    class Derived(Base):
        def value(self):
            return len(self.cached)

        @functools.cached_property
        def cached(self):
            return [self]

    class Slotted:
        __slots__ = ("first", "second", "__weakref__")

    class Meta(type):
        def __new__(cls, name, bases, namespace):
            return super().__new__(cls, name, bases, namespace)

    class Made(metaclass=Meta):
        pass

    Kind = typing.TypeVar("Kind")

    class Box(typing.Generic[Kind]):
        pass

    slotted = Slotted()
    slotted.first = slotted
    slotted.second = Made()
    slotted.second.owner = slotted
    triple = collections.namedtuple("Triple", "a b c")(1, 2, slotted)
    Box[int]()
    return len(dataclasses.asdict(Point(1))) + Fixed().a + len(Colour) + Bits.A + Pair(1).left \
        + Derived().value() + len(triple)


print(sum(make() for _ in range(30)))
