"""Making a small real estate on a Prefect server: pools, deployments, heartbeats, runs. Names are unique to each."""

import uuid
from datetime import UTC, datetime, timedelta

from support.prefect_server import send


class PlacementEstate:
    """What one test puts on a server, over plain HTTP, as any client could."""

    def __init__(self, url):
        self.url = url
        self.suffix = uuid.uuid4().hex[:8]

    def name(self, stem):
        return f"{stem}-{self.suffix}"

    def send(self, method, path, body=None):
        return send(self.url, method, path, body)

    def post(self, path, body):
        return self.send("POST", path, body)

    def patch(self, path, body):
        self.send("PATCH", path, body)

    def delete(self, path):
        self.send("DELETE", path)

    def pool(self, stem, live=True, **fields):
        """Create a work pool, by default with a worker that was heard of just now."""
        row = self.post("/work_pools/", {"name": self.name(stem), "type": "process", **fields})
        if live:
            self.heartbeat(stem)
        return row

    def heartbeat(self, stem, worker="worker-1", seconds=30):
        path = f"/work_pools/{self.name(stem)}/workers/heartbeat"
        self.post(path, {"name": worker, "heartbeat_interval_seconds": seconds})

    def deployment(self, stem, pool=None, tags=(), queue=None):
        """Create a deployment ``nightly-…/stem-…`` and return its id."""
        flow = self.post("/flows/", {"name": self.name("nightly")})["id"]
        body = {"flow_id": flow, "name": self.name(stem), "tags": list(tags), "work_queue_name": queue}
        return self.post("/deployments/", body | {"work_pool_name": pool and self.name(pool)})["id"]

    def run(self, deployment, due=timedelta(minutes=-1)):
        """Schedule a run of a deployment and return its id."""
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": (datetime.now(UTC) + due).isoformat()}}
        return self.post(f"/deployments/{deployment}/create_flow_run", {"state": state})["id"]

    def move(self, deployment, pool):
        self.patch(f"/deployments/{deployment}", {"work_pool_name": self.name(pool)})

    def poison(self, run):
        """Give a run a label that the server stores and then cannot show."""
        self.patch(f"/flow_runs/{run}/labels", {"note": None})
