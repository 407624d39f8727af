"""gunicorn's reader of requests, one thread for each connection."""

from __future__ import annotations

import json
import socketserver
import sys

from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


class Reader(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            for request in RequestParser(Config(), self.request, self.client_address):
                if any(name == "EXPECT" for name, _ in request.headers):
                    self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                read = {
                    "method": request.method,
                    "target": request.uri,
                    "host": [value for name, value in request.headers if name == "HOST"],
                    "body": request.body.read().decode("latin-1"),
                }
                with open(sys.argv[1], "a", encoding="utf-8") as log:
                    print(json.dumps(read), file=log)
                close = request.should_close()
                self.request.sendall(OK + (b"Connection: close\r\n\r\n" if close else b"\r\n"))
                if close:
                    return
        except (ParseException, OSError) as error:
            if isinstance(error, ParseException):
                refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                self.request.sendall(refusal)
        except StopIteration:
            pass  # the other end has closed


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Reader)
print(server.server_address[1], flush=True)
server.serve_forever()
