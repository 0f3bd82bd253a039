"""Answers scrapes with the metrics of all processes that share a directory."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app, multiprocess


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, *_: object) -> None:
        pass


registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
app = make_wsgi_app(registry)
with make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Quiet) as server:
    server.serve_forever()
