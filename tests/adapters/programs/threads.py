# SPDX-License-Identifier: Apache-2.0
"""Threads that ended, thread pools, and threads that still wait at the end."""
import concurrent.futures
import queue
import threading


def work(number):
    if number % 5 == 0:
        raise ValueError(number)
    return [number] * 10


class Own(threading.Thread):
    def __init__(self):
        super().__init__()
        self.itself = self

    def run(self):
        self.result = [self]


failed = 0
with concurrent.futures.ThreadPoolExecutor(4) as executor:
    futures = [executor.submit(work, i) for i in range(60)]
    for future in concurrent.futures.as_completed(futures):
        try:
            future.result()
        except ValueError as error:
            future.error = error
            failed += 1
del futures, future
for _ in range(15):
    thread = Own()
    thread.start()
    thread.join()
requests = queue.Queue()
for _ in range(3):
    threading.Thread(target=requests.get, daemon=True).start()
local = threading.local()
local.itself = local
print(failed, threading.active_count())
