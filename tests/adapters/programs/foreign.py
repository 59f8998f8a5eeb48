# SPDX-License-Identifier: Apache-2.0
"""ctypes: structures that point at each other, callbacks that hold what holds
them, types that are made while the program runs."""
import ctypes

LIBC = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


class Cell(ctypes.Structure):
    pass


Cell._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Cell))]


def rings(count):
    total = 0
    for number in range(count):
        first, second = Cell(number), Cell(number + 1)
        first.next, second.next = ctypes.pointer(second), ctypes.pointer(first)
        total += first.next.contents.next.contents.value
    return total


class Sorter:
    def __init__(self, numbers):
        self.array = (ctypes.c_int * len(numbers))(*numbers)
        self.callback = COMPARE(self.compare)
        self.calls = 0

    def compare(self, one, other):
        self.calls += 1
        return one[0] - other[0]

    def sort(self):
        LIBC.qsort(self.array, len(self.array), ctypes.sizeof(ctypes.c_int), self.callback)
        return list(self.array)


def new_types(count):
    """A union with a class of its own each, and a pointer type that keeps it."""
    for number in range(count):
        union = type("Union%d" % number, (ctypes.Union,),
                     {"_fields_": [("n", ctypes.c_int), ("bytes", ctypes.c_ubyte * (number + 4))]})
        pointer = ctypes.POINTER(union)
        value = union(number)
        value.owner = [value, pointer(value)]
    ctypes._reset_cache()
    return count


def buffers(count):
    total = 0
    for number in range(count):
        buffer = ctypes.create_string_buffer(b"x" * number, 64)
        buffer.view = memoryview(buffer)
        buffer.cast = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char))
        total += len(buffer.value)
    return total


print(rings(30), sum(Sorter([n, 3, 1, 2]).sort()[0] for n in range(30)), new_types(20), buffers(30))
