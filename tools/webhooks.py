"""`melisma webhooks`: a receiver to try webhooks with, and the endpoints that are called."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import typer
from rich.console import Console

from tools.webhook_endpoints import app as endpoints_app

app = typer.Typer(help="Try webhooks out; look after their endpoints.", no_args_is_help=True)
app.add_typer(endpoints_app, name="endpoints")

_MOST_BYTES = 1_000_000  # of a message; ours are a few hundred


@app.command()
def listen(
    secret: Annotated[
        str,
        typer.Option(
            "--secret",
            envvar="WEBHOOK_SECRET",
            help="whsec_… of the endpoint; without it nothing is verified.",
        ),
    ] = "",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 9000,
    status: Annotated[
        int, typer.Option("--status", min=200, max=599, help="Answer with this status.")
    ] = 204,
) -> None:
    """Receive webhooks on 127.0.0.1, verify their signatures and print them."""
    if secret:
        from processors.delivery.signing import key_of

        try:
            key_of(secret)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--secret") from None
    server = receiver(port, secret=secret, status=status)
    Console(stderr=True).print(
        f"listening on [bold]http://127.0.0.1:{server.server_port}[/]\n"
        "[dim]the product calls it with CALLBACK_HTTP_ALLOWED=true WEBHOOK_PORTS=any "
        "WEBHOOK_ALLOW_NETWORKS=127.0.0.0/8; Ctrl-C stops[/]"
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def receiver(port: int, *, secret: str, status: int) -> ThreadingHTTPServer:
    """The server, bound and not yet serving. It prints a line a message on stdout."""
    from processors.delivery.signing import NotGenuine, verify

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("content-length", "0"))
            except ValueError:
                length = -1
            if not 0 <= length <= _MOST_BYTES:
                self.send_error(413)
                return
            body = self.rfile.read(length)
            verdict, answer = "not verified", status
            if secret:
                try:
                    verify(secret, dict(self.headers.items()), body, time.time())
                    verdict = "genuine"
                except NotGenuine as error:
                    verdict, answer = f"REFUSED: {error}", 400
            line = {
                "id": self.headers.get("webhook-id"),
                "signature": verdict,
                "body": _read(body),
            }
            print(json.dumps(line, ensure_ascii=False), flush=True)
            self.send_response(answer)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """The line above says more."""

    return ThreadingHTTPServer(("127.0.0.1", port), Hook)


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
