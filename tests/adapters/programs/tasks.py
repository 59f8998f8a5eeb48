# SPDX-License-Identifier: Apache-2.0
"""asyncio: tasks, cancelled waits, suspended generators, a server."""
import asyncio


async def child(number):
    await asyncio.sleep(0)
    if number % 7 == 0:
        raise ValueError(number)
    if number % 11 == 0:
        await asyncio.sleep(10)
    return number


async def numbers(count):
    for i in range(count):
        yield i
        await asyncio.sleep(0)


async def main():
    done = 0
    for _ in range(8):
        tasks = [asyncio.create_task(child(i)) for i in range(30)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in tasks:
            if not task.done():
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        done += len(results)
        async for number in numbers(3):
            done += number
        suspended = numbers(5)
        await suspended.__anext__()
        queue = asyncio.Queue()
        getter = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        getter.cancel()
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    for _ in range(3):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await reader.read()
        writer.close()
    server.close()
    return done


print(asyncio.run(main()))
