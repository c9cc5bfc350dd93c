"""Have Prefect send word when an archive's run ends badly: ``python flows/notify.py --help``."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

import typer
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import CallWebhook, SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from geoseg.errors import UsageError
from geoseg.flows.outcome import api_errors

_FLOW = "segment-archive"
_WEBHOOK = "webhook"
_SUBJECT = "geoseg: {{ flow_run.name }} {{ flow_run.state.name }}"
_TEXT = "{{ flow.name }} {{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message }}"


def notify_of_failures(block: str, *, flow: str = _FLOW) -> Automation:
    """Create the automation, or put it in the place of the one of its name.

    It sends one message for each run of the flow that ends as Failed or Crashed; a run fails when scenes failed that no
    earlier run reported, and its message names them. What the message goes to, with its address and its secrets, is a
    block of Prefect.

    Args:
        block: the block, ``TYPE/NAME``: a webhook or any block of notifications, ``webhook/operators``.
        flow: name of the flow.

    Raises:
        UsageError: there is no such block.
    """
    document = _document(block)
    message = {"text": _TEXT, "flow": "{{ flow.name }}", "run": "{{ flow_run.id }}"}
    message |= {"state": "{{ flow_run.state.name }}"}
    payload = json.dumps({key: f"@{key}@" for key in message})
    for key, template in message.items():
        payload = payload.replace(f'"@{key}@"', _json_of(template))
    action: CallWebhook | SendNotification
    if document.block_type is not None and document.block_type.slug == _WEBHOOK:
        action = CallWebhook(block_document_id=document.id, payload=payload)
    else:
        action = SendNotification(block_document_id=document.id, subject=_SUBJECT, body=_TEXT)
    wanted = Automation(
        name=f"notify {block} of failures of {flow}",
        description="One message for each run that ends as Failed or Crashed; known bad scenes fail no run.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match_related={"prefect.resource.role": "flow", "prefect.resource.name": flow},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[action],
    )
    with suppress(ValueError):  # there is none of this name
        Automation.read(name=wanted.name).delete()  # type: ignore[attr-defined]
    return wanted.create()  # type: ignore[return-value]


def _json_of(template: str) -> str:
    """Make a template of the JSON string that a template of text gives."""
    parts, rest = list[str](), template
    while "{{" in rest:
        plain, _, rest = rest.partition("{{")
        expression, _, rest = rest.partition("}}")
        parts += [json.dumps(plain)] if plain else []
        parts.append(f"({expression.strip()})|string")
    parts += [json.dumps(rest)] if rest else []
    return f"{{{{ ({' ~ '.join(parts)}) | tojson }}}}"


def _document(block: str) -> BlockDocument:
    kind, mark, name = block.partition("/")
    if not (kind and mark and name):
        raise UsageError(f"{block}: no block. Give TYPE/NAME, e.g. webhook/operators; prefect block ls lists them.")
    with get_client(sync_client=True) as client:
        try:
            return client.read_block_document_by_name(name, kind, include_secrets=False)
        except ObjectNotFound as error:
            raise UsageError(f"{block}: no such block. Make it first; prefect block ls lists them.") from error


def main(
    block: Annotated[str, typer.Argument(metavar="TYPE/NAME", help="The block to send to, e.g. webhook/operators.")],
    flow: Annotated[str, typer.Option(help="Name of the flow.")] = _FLOW,
) -> int:
    """Send one message for each run of a flow that ends as Failed or Crashed, to a webhook or a notification block."""
    with api_errors():
        made = notify_of_failures(block, flow=flow)
    typer.echo(f"{made.name}: {made.id}")
    return 0
