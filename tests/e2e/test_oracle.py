# SPDX-License-Identifier: Apache-2.0
#
# Random histories of objects: castaway's findings are the oracle's (oracle.py).
from oracle import compare, random_graphs
from support import case, equal, main


@case
def small_sparse(directory):
    """small sparse graphs: same components as the oracle"""
    random_graphs(directory, 8, 8, 0.15, range(12))


@case
def small_dense(directory):
    """small dense graphs, often held from outside"""
    random_graphs(directory, 6, 14, 0.08, range(100, 110))


@case
def many_components(directory):
    """hundreds of objects in many components"""
    random_graphs(directory, 300, 330, 0.05, range(200, 204), span=3)


@case
def all_held(directory):
    """everything is held from outside: no finding"""
    for seed in range(300, 303):
        equal(compare(directory, seed, 40, 120, 1.0), 0, "findings")


main()
