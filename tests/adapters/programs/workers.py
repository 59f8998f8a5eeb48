# SPDX-License-Identifier: Apache-2.0
"""Processes: a pool of workers with queues and locks, children that end at
once, commands with pipes."""
import multiprocessing
import os
import subprocess
import sys


class Job:
    def __init__(self, number):
        self.number = number
        self.parts = [Part(self, n) for n in range(5)]


class Part:
    def __init__(self, job, number):
        self.job, self.number = job, number


def work(job):
    job.parts[0].job = job
    return job.number + sum(part.number for part in job.parts)


def pool(count):
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as workers:
        return sum(workers.map(work, [Job(n) for n in range(count)]))


def children(count):
    ends = 0
    for number in range(count):
        job = Job(number)
        child = os.fork()
        if child == 0:
            os._exit(len(job.parts))
        ends += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return ends


def commands(count):
    size = 0
    for number in range(count):
        process = subprocess.Popen(["/bin/echo", str(number)], stdout=subprocess.PIPE)
        size += len(process.communicate()[0])
        process.owner = [process]
    return size


if __name__ == "__main__":
    print(pool(20), children(5), commands(5))
    sys.stdout.flush()
