# SPDX-License-Identifier: Apache-2.0
"""NumPy: arrays of objects that hold their owners, views, record types, and
subclasses with attributes.  The elements of an array of objects, and the array
that a view is of, are no references that Python's collector sees: a cycle through
them is none for it."""
import numpy


class Signal(numpy.ndarray):
    def __array_finalize__(self, other):
        self.origin = getattr(other, "origin", None)


def views(count):
    total = 0
    for number in range(count):
        signal = numpy.arange(number + 10).view(Signal)
        signal.origin = signal
        signal.part = signal[::2]
        total += int(signal.part.sum())
    return total


def objects(count):
    for _ in range(count):
        array = numpy.empty(3, dtype=object)
        array[0] = array
        array[1] = [array]
    return count


class Model:
    def __init__(self, size):
        self.weights = numpy.random.default_rng(1).normal(size=(size, size))
        self.apply = numpy.vectorize(self.step)

    def step(self, value):
        return value * len(self.weights)

    def run(self):
        return int(self.apply(numpy.ones(4)).sum())


def records(count):
    total = 0
    for number in range(count):
        record = numpy.zeros(number + 1, dtype=[("a", "i4"), ("b", "f8", (2,))]).view(numpy.recarray)
        record.a = number
        total += int(record.a.sum())
    return total


print(views(20), objects(20), sum(Model(n + 1).run() for n in range(10)), records(10))
