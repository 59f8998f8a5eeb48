# SPDX-License-Identifier: Apache-2.0
#
# A million events from many threads.
from churning import churn, compare_live, event_total
from support import case, equal, main


@case
def half_a_million(directory):
    """8 threads, 400000 rounds: live set and event totals are exact"""
    trace, said, _ = churn(directory, 8, 50000)
    compare_live(trace, said)
    end, dumped = event_total(trace)
    equal(dumped >= end, True, "events: END says %d, dump tells %d lines" % (end, dumped))


@case
def many_threads(directory):
    """64 threads on small buffers"""
    trace, said, _ = churn(directory, 64, 2000, "--buffers=2")
    compare_live(trace, said)


main()
