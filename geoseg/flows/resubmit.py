"""Have Prefect run a deployment again when a run of it crashed: ``python flows/resubmit.py --help``."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

import typer
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import UsageError
from geoseg.flows.outcome import api_errors


def resubmit_on_crash(deployment: str, *, after_s: float = 30.0) -> Automation:
    """Create the automation, or put it in the place of the one of its name.

    The new run gets the parameters of the run that crashed, not those of the deployment.

    Args:
        deployment: its name, ``segment-archive/nightly``.
        after_s: pause before the new run, in which the crashed one's slot is given free.

    Raises:
        UsageError: there is no such deployment.
    """
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise UsageError(f"{deployment}: no such deployment. Deploy it first: prefect deploy --all") from error
    automation = Automation(
        name=f"resubmit {deployment} on crash",
        description="The manifest of the archive says what is left, so that a new run goes on where the last one died.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match_related={"prefect.resource.id": f"prefect.deployment.{known.id}"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=known.id,
                parameters=parameters_of_crashed_run(known),
                schedule_after=timedelta(seconds=after_s),
            )
        ],
    )
    with suppress(ValueError):  # there is none of this name
        Automation.read(name=automation.name).delete()  # type: ignore[attr-defined]
    return automation.create()  # type: ignore[return-value]


def parameters_of_crashed_run(deployment: DeploymentResponse) -> UntypedDict:
    """Templates that Prefect's server fills in with the parameters of the flow run that set off an automation.

    Args:
        deployment: it names the parameters and the defaults of those that a run does not have.
    """
    schema = deployment.parameter_openapi_schema or {}
    defaults = dict(deployment.parameters or {})
    defaults |= {name: facts.get("default") for name, facts in schema.get("properties", {}).items()}
    return {name: _from_run(name, default) for name, default in defaults.items()}


def _from_run(name: str, default: Any) -> UntypedDict:
    key = json.dumps(name)
    given = f"{{{{ flow_run.parameters[{key}] | tojson }}}}"
    text = json.dumps(default).replace("%", "\\u0025")  # so that it cannot end what is taken as it is
    otherwise = f"{{% raw %}}{text}{{% endraw %}}"
    template = f"{{% if {key} in flow_run.parameters %}}{given}{{% else %}}{otherwise}{{% endif %}}"
    return {"__prefect_kind": "json", "value": {"__prefect_kind": "jinja", "template": template}}


def main(
    deployment: Annotated[str, typer.Argument(help="FLOW/NAME, e.g. segment-archive/nightly.")],
    after_s: Annotated[float, typer.Option(min=0, help="Pause before the new run, seconds.")] = 30.0,
) -> int:
    """Have a deployment run again when a run of it crashed: its process was killed, its machine went down."""
    with api_errors():
        made = resubmit_on_crash(deployment, after_s=after_s)
    typer.echo(f"{made.name}: {made.id}")
    return 0
