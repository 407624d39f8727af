"""aiohttp's server, whose reader of requests is llhttp, or one in Python where that is not built in."""

from __future__ import annotations

import asyncio
import json
import sys

from aiohttp import web


async def read(request: web.BaseRequest) -> web.Response:
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await request.read()
    told = {
        "method": request.method,
        "target": request.raw_path,
        "host": request.headers.getall("Host", []),
        "body": body.decode("latin-1"),
    }
    with open(sys.argv[1], "a", encoding="utf-8") as log:
        print(json.dumps(told), file=log)
    return web.Response()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(web.Server(read), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
