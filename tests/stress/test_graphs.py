# SPDX-License-Identifier: Apache-2.0
#
# Many random histories against the oracle of test_oracle.py's kind.
from oracle import random_graphs
from support import case, main


@case
def two_hundred_small(directory):
    """200 small graphs of all densities"""
    for edges in (4, 8, 16, 32):
        random_graphs(directory, 10, edges, 0.1, range(1000 * edges, 1000 * edges + 50))


@case
def large(directory):
    """thousands of objects, in hundreds of components"""
    random_graphs(directory, 3000, 3300, 0.05, range(3), span=3)


main()
