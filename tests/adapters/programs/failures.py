# SPDX-License-Identifier: Apache-2.0
"""Exceptions kept in frames that they refer to; generators, closures, finalizers, weak references."""
import collections
import contextlib
import functools
import itertools
import sys
import weakref


class Failure(Exception):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.itself = self


def fail(depth):
    if depth == 0:
        raise Failure("deep")
    try:
        fail(depth - 1)
    except Failure as failure:
        kept = failure
        raise RuntimeError(str(kept)) from failure


def keep_traceback():
    try:
        fail(1)
    except RuntimeError as error:
        saved = error
        info = sys.exc_info()
        return len(saved.args) + len(info)


@contextlib.contextmanager
def manager():
    try:
        yield
    except KeyError as error:
        kept = error
        raise


revived = []


class Revived:
    def __init__(self):
        self.itself = self

    def __del__(self):
        revived.append(self)


class Closer:
    def __init__(self):
        self.itself = [self]

    def __del__(self):
        self.closed = True


def generator(holder):
    try:
        while True:
            yield holder
    finally:
        holder.append("closed")


def strand_generator():
    holder = []
    suspended = generator(holder)
    next(suspended)
    holder.append(suspended)


async def coroutine(holder):
    class Wait:
        def __await__(self):
            yield

    await Wait()


def strand_coroutine():
    holder = {}
    waiting = coroutine(holder)
    waiting.send(None)
    holder["waiting"] = waiting


class Thing:
    pass


def strand_weak():
    thing = Thing()
    thing.itself = thing
    thing.weak = weakref.ref(thing, lambda reference: None)
    other = Thing()
    other.itself = other
    revived.append(weakref.ref(other, revived.append))


def strand_containers():
    def recurse(n):
        return recurse(n - 1) if n else 0

    recurse(2)
    partial = functools.partial(recurse)
    recurse.partial = partial
    items = [iter([partial])]
    items.append(items)
    items.append(map(recurse, items))
    items.append(itertools.chain(items, items))
    ordered = collections.OrderedDict()
    ordered["itself"] = ordered
    queue = collections.deque([ordered])
    queue.append(queue)
    default = collections.defaultdict(queue.append)
    default[1] = default
    recurse.frozen = frozenset([partial])
    left, right = itertools.tee(items)
    next(left)
    items.extend([left, right, type("Made", (), {"items": items})()])


errors = []
count = 0
for _ in range(25):
    count += keep_traceback()
    try:
        with manager():
            {}["absent"]
    except KeyError as error:
        errors.append(error)
    strand_generator()
    strand_coroutine()
    strand_weak()
    strand_containers()
    Revived()
    Closer()
try:
    raise ExceptionGroup("both", [ValueError(1), TypeError(2)])
except* ValueError as group:
    errors.append(group)
except* TypeError as group:
    errors.append(group)
print(count, len(errors))
