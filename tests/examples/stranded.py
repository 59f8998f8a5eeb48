# SPDX-License-Identifier: Apache-2.0
"""A small document editor that strands what it closes.

Documents are trees whose nodes know their parent, and a view subscribes a bound
method to an event bus that the view itself owns.  Both are cycles: with the
cycle collector switched off, as services with tight latency do, closed
documents and views stay in memory for ever.
"""

import gc

gc.disable()


class Node:
    def __init__(self, kind, text="", parent=None):
        self.kind = kind
        self.text = text
        self.parent = parent
        self.children = []
        if parent is not None:
            parent.children.append(self)

    def words(self):
        return len(self.text.split()) + sum(child.words() for child in self.children)


class Bus:
    def __init__(self):
        self.callbacks = []

    def subscribe(self, callback):
        self.callbacks.append(callback)

    def publish(self, event):
        for callback in self.callbacks:
            callback(event)


class View:
    def __init__(self, title):
        self.title = title
        self.redraws = 0
        self.bus = Bus()
        self.bus.subscribe(self.redraw)

    def redraw(self, event):
        self.redraws += 1


def open_document(number):
    document = Node("document")
    for section in range(3):
        heading = Node("section", f"Section {section} of document {number}", document)
        for paragraph in range(2):
            Node("paragraph", f"some words in paragraph {paragraph}", heading)
    return document


def edit(number):
    document = open_document(number)
    view = View(f"Document {number}")
    view.bus.publish("opened")
    return document.words() + view.redraws


def main():
    words = sum(edit(number) for number in range(10))
    print(f"closed 10 documents of {words // 10} words each")


main()
