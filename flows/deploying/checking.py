"""What must hold before anything is deployed: Prefect accepts all of it and fails only when a run starts."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from prefect import Flow
from prefect.blocks.core import Block
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from pydantic import TypeAdapter, ValidationError

from flows.deploying.reading import Deployment, reference


def problems(
    deployments: Collection[Deployment], pools: Collection[str], has_block: Callable[[str], bool]
) -> Iterator[str]:
    """Yield everything that would make a deployment fail at run time, each as one sentence with its place.

    Args:
        deployments: what is to be deployed.
        pools: the names of the work pools that exist.
        has_block: tells whether a block document, named by its slug, exists or is about to be published.
    """
    for deployment in deployments:
        where = f"deployment {deployment.name} of {deployment.entrypoint}"
        if deployment.work_pool not in pools:
            create = f"prefect work-pool create {deployment.work_pool} --type process"
            yield f"{where}: the work pool {deployment.work_pool} does not exist. Create it: {create}"
        if deployment.pull != []:
            yield f"{where}: `pull` must be [], or the deployer's own path is stored. Write `pull: []`."
        if "labels" in deployment.keys:
            yield f"{where}: Prefect ignores `labels` here without a word. Use tags."
        if ":" in deployment.entrypoint:
            yield f"{where}: the entrypoint must be a module path, such as flows.verify_placement.verify_placement."
            continue
        yield from (f"{where}: {text}" for text in _schedule_problems(deployment))
        yield from (f"{where}: {text}" for text in _flow_problems(deployment, has_block))


def _schedule_problems(deployment: Deployment) -> Iterator[str]:
    slugs = [schedule.get("slug") for schedule in deployment.schedules]
    if not all(isinstance(slug, str) and slug for slug in slugs) or len(set(slugs)) != len(slugs):
        yield "each schedule needs a `slug` of its own, or deploying again could not keep whether it is switched on."
    for schedule in deployment.schedules:
        given = {key: value for key, value in schedule.items() if key in ("cron", "timezone")}
        try:
            if "cron" in given:
                CronSchedule(**given)
            if not isinstance(schedule.get("active", True), bool):
                yield "`active` of a schedule is true or false."
        except ValueError:
            yield "a schedule's `cron` or `timezone` is none that Prefect knows."


def _flow_problems(deployment: Deployment, has_block: Callable[[str], bool]) -> Iterator[str]:
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(deployment.entrypoint)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing a module can raise anything, even its exit
        yield f"the entrypoint does not load ({type(error).__name__}). Is Vigiles installed in this environment?"
        return
    annotations = flow.fn.__annotations__
    known = set(flow.parameters.properties)
    for name in sorted(set(deployment.parameters) - known):
        yield f"the flow has no parameter {name}. It has {', '.join(sorted(known))}."
    for name in sorted(set(flow.parameters.required or []) - set(deployment.parameters)):
        yield f"the parameter {name} has no value."
    for name in sorted(known & set(deployment.parameters)):
        yield from _value_problems(name, deployment.parameters[name], annotations[name], has_block)


def _value_problems(name: str, value: object, annotation: Any, has_block: Callable[[str], bool]) -> Iterator[str]:
    slug = reference(value)
    if isinstance(annotation, type) and issubclass(annotation, Block):
        if slug is None:
            yield f"the parameter {name} must refer to a block: {{$ref: {{block_document_slug: TYPE/NAME}}}}."
        elif slug.partition("/")[0] != annotation.get_block_type_slug():
            yield f"the parameter {name} refers to {slug}, but must be of type {annotation.get_block_type_slug()}."
        elif not has_block(slug):
            yield f"the parameter {name} refers to {slug}, which does not exist. Publish the policy of that name."
        return
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        yield f"the parameter {name} does not fit: {error.errors()[0]['msg']}."


def flow_name(deployment: Deployment) -> str:
    """Return the name of the flow that a deployment runs; its entrypoint must load."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment.entrypoint)
    return str(flow.name)
