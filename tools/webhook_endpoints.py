"""`melisma webhooks endpoints`: who is told of what, through the gateway."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tools.ops.options import Output, Url, Yes

app = typer.Typer(help="List, make, pause, rotate and try webhook endpoints.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="As listed: whk_…")]


@app.command("ls")
def ls(url: Url = None, output: Output = "table") -> None:
    """List endpoints, the oldest first, and what is wrong with them."""
    from tools.ops import display
    from tools.ops.asking import gateway_client

    with gateway_client(url) as client:
        found = client.webhooks.endpoints()
    if output == "json":
        display.print_json(found)
        return
    display.print_table(
        ("endpoint", "status", "types", "url"),
        [
            (
                each["id"],
                each["status"] + (f" ({why})" if (why := each.get("disabledReason")) else ""),
                ", ".join(each["types"]) or "all",
                each["url"],
            )
            for each in found
        ],
        empty="no endpoints; `melisma webhooks endpoints create URL` makes one",
        flowing="url",
    )


@app.command("create")
def create(
    address: Annotated[str, typer.Argument(metavar="URL", help="Called with POST.")],
    types: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", help="Event type, may be repeated; all without it."),
    ] = None,
    description: Annotated[str, typer.Option("--description", help="For people.")] = "",
    url: Url = None,
    output: Output = "table",
) -> None:
    """Make an endpoint. Its signing secret is shown here."""
    from tools.ops.asking import gateway_client

    with gateway_client(url) as client:
        made = client.webhooks.create(address, types=types or (), description=description)
    _show(made, output)


@app.command("rotate")
def rotate(
    endpoint: EndpointId,
    overlap: Annotated[
        int | None,
        typer.Option("--overlap", min=0, help="Seconds that the old secret still signs; a day."),
    ] = None,
    url: Url = None,
    output: Output = "table",
) -> None:
    """Give an endpoint a new secret and show it; messages carry both signatures for a while."""
    from tools.ops.asking import gateway_client

    with gateway_client(url) as client:
        made = client.webhooks.rotate(endpoint, overlap_s=overlap)
    _show({"id": endpoint} | made, output)


@app.command("pause")
def pause(endpoint: EndpointId, url: Url = None, output: Output = "table") -> None:
    """Hold messages back until `resume`."""
    from tools.ops.asking import gateway_client

    with gateway_client(url) as client:
        _show(client.webhooks.pause(endpoint), output)


@app.command("resume")
def resume(endpoint: EndpointId, url: Url = None, output: Output = "table") -> None:
    """Call an endpoint again, paused or disabled; what it was owed follows."""
    from tools.ops.asking import gateway_client

    with gateway_client(url) as client:
        _show(client.webhooks.resume(endpoint), output)


@app.command("delete")
def delete(endpoint: EndpointId, yes: Yes = False, url: Url = None) -> None:
    """Remove an endpoint; what is still owed to it is dropped."""
    from tools.ops import display
    from tools.ops.asking import gateway_client
    from tools.ops.workplace import confirm

    confirm(f"delete {endpoint} and drop what it is owed", yes=yes)
    with gateway_client(url) as client:
        client.webhooks.delete(endpoint)
    display.note(f"{endpoint} is deleted")


@app.command("test")
def trial(
    endpoint: EndpointId,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for the first attempt.")
    ] = 10.0,
    url: Url = None,
    output: Output = "table",
) -> None:
    """Send a `webhook.test` and say how it went; status 1 unless it was delivered."""
    from tools.ops import display
    from tools.ops.asking import gateway_client
    from tools.ops.commands.endpoints import first_attempt

    with gateway_client(url) as client:
        message = client.webhooks.test(endpoint)["messageId"]
        seen = first_attempt(client, endpoint, message, wait)
    if seen is None:
        display.note(f"{message} is on its way; nothing was attempted within {wait:g} s")
        raise typer.Exit(1)
    _show(seen, output)
    if seen["outcome"] != "delivered":
        raise typer.Exit(1)


def _show(about: dict[str, Any], output: str) -> None:
    """An object, the secret in it that was asked for included."""
    from tools.ops import display

    if output == "json":
        display.print_json_secret(about)
        return
    secret = about.pop("secret", None)
    display.print_fields(
        {
            name: ", ".join(map(str, value)) or "all" if isinstance(value, list) else value
            for name, value in about.items()
        }
    )
    if secret:
        print(f"secret  {secret}")
