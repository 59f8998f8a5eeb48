# SPDX-License-Identifier: Apache-2.0
#
# Cycles of GObject's and Python's references: `crossing.py KIND strand|break|keep`.
import gc
import sys

from gi.repository import Gio, GObject


class Item(GObject.Object):
    __gsignals__ = {"ping": (GObject.SignalFlags.RUN_LAST, None, ())}


def closure():
    """A store's item has a handler, a Python function that holds the store."""
    store = Gio.ListStore(item_type=Item)
    item = Item()
    store.append(item)
    identity = item.connect("ping", lambda *arguments: store.get_n_items())
    return store, lambda: store.get_item(0).disconnect(identity)


def toggle():
    """A store's item has a wrapper with an attribute, the store."""
    store = Gio.ListStore(item_type=Item)
    item = Item()
    item.owner = store
    store.append(item)

    def break_up():
        store.get_item(0).owner = None
    return store, break_up


def main():
    kind, what = sys.argv[1:]
    gc.collect()
    gc.disable()
    store, break_up = {"closure": closure, "toggle": toggle}[kind]()
    if what == "break":
        break_up()
    if what == "keep":
        main.kept = store
    # The function that breaks it up holds the store.
    del break_up, store


main()
