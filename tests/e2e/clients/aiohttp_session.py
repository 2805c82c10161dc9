"""Python's aiohttp: asynchronous, with a session."""
import asyncio
import sys

import aiohttp

base, file = sys.argv[1:3]


async def main():
    timeout = aiohttp.ClientTimeout(total=50)
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
        async with session.get(f"{base}/plain") as answer:
            await answer.read()
        with open(file, "rb") as body:
            async with session.post(f"{base}/upload", data=body) as answer:
                await answer.read()
        async with session.post(f"{base}/throttled", data={"x": "1"}) as answer:
            await answer.read()


asyncio.run(main())
