# SPDX-License-Identifier: Apache-2.0
#
# Forks among busy threads, often enough to meet every lock that one of them
# could hold.
from support import case, equal, limit_codes, main, record, report, tracee


@case
def two_hundred(directory):
    """200 forks among 4 allocating threads: none hangs, all are traced"""
    result = record(directory, [tracee("fork_storm"), "200"], timeout=300)
    equal((result.status, result.err), (0, b""), str(result))
    equal(len(result.traces), 201, "traces")
    for trace in result.traces:
        json = report(trace)
        equal(json["trace"]["complete"], True, trace)
        equal(limit_codes(json) & {"dropped-events", "unknown-free"}, set(), trace)


@case
def shell_loops(directory):
    """a shell that forks 200 subshells says the same as without castaway"""
    script = "for i in $(seq 200); do (echo $i); done | sort -n | tail -1"
    result = record(directory, ["bash", "-c", script], timeout=300)
    equal((result.status, result.out, result.err), (0, b"200\n", b""), str(result))


main()
