"""A network with latency: a proxy, in a process of its own, that passes on what clients send after a while.

    python benchmarks/_slow_network.py PORT MILLISECONDS

prints the port that it listens at. Requests are late by so many milliseconds, each by itself; answers are not.
"""

from __future__ import annotations

import asyncio
import sys


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on what comes, each piece so many seconds after it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while (item := await pieces.get())[1]:
            await asyncio.sleep(max(0.0, item[0] - loop.time()))
            writer.write(item[1])
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    try:
        while content := await reader.read(2**18):
            pieces.put_nowait((loop.time() + delay, content))
    finally:
        pieces.put_nowait((0.0, b""))
        await asyncio.gather(sending, return_exceptions=True)


async def serve(port: int, delay: float) -> None:
    """Listen at any port, and connect every client to ``port``."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, back, delay), pass_on(there, writer, 0.0), return_exceptions=True)

    server = await asyncio.start_server(connect, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
