// SPDX-License-Identifier: Apache-2.0
//
// A store that is in itself, and two that are in each other.
const {Gio, GObject} = imports.gi;
const System = imports.system;

function make() {
    return new Gio.ListStore({item_type: GObject.Object});
}

function strand() {
    const a = make(), b = make(), c = make();

    a.append(a);
    b.append(c);
    c.append(b);
}

strand();
// The wrappers end, and their toggle references.
for (let i = 0; i < 5; i++)
    System.gc();
