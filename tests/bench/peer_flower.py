"""peer_flower.py JOB.json: the same federated averaging in Flower's simulation (Ray, one processor a client actor), started by
tests/bench/federated; prints one JSON object with the seconds of each round. Data are read once an actor and kept."""
import json
import os
import sys
import time

os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

import torch  # noqa: E402
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.serverapp import Grid, ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
with open(os.environ.get("FEDERATED_JOB") or sys.argv[1], encoding="utf-8") as job_file:
    JOB = json.load(job_file)
os.environ["FEDERATED_JOB"] = os.environ.get("FEDERATED_JOB") or sys.argv[1]

client_app, server_app = ClientApp(), ServerApp()
kept = {}


@client_app.train()
def train(message: Message, context: Context):
    import peer_federated
    if "own" not in kept:
        torch.set_num_threads(1)
        kept["own"] = peer_federated.Federation(JOB)
    own, client = kept["own"], int(context.node_config["partition-id"])
    own.model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimizer = torch.optim.SGD(own.model.parameters(), lr=JOB["learning_rate"])
    order = torch.from_numpy(own.draw.permutation(own.size))
    rows = own.owned[client][order].repeat(-(-JOB["steps"] * JOB["batch"] // own.size))
    for at in rows[:JOB["steps"] * JOB["batch"]].view(JOB["steps"], JOB["batch"]):
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(own.model(own.x[at]), own.y[at]).backward()
        optimizer.step()
    return Message(content=RecordDict({"arrays": ArrayRecord(own.model.state_dict()),
                                       "metrics": MetricRecord({"num-examples": own.size})}), reply_to=message)


class Timed(FedAvg):
    """Notes when each round's training is asked for and joined."""
    started = []

    def configure_train(self, server_round, arrays, config, grid):
        self.started.append(time.perf_counter())
        return super().configure_train(server_round, arrays, config, grid)


@server_app.main()
def main(grid: Grid, context: Context):
    import peer_federated
    strategy = Timed(fraction_train=JOB["present"] / JOB["clients"], fraction_evaluate=0.0, min_available_nodes=JOB["clients"])
    own = peer_federated.Federation(JOB)
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(own.model.state_dict()),
                            num_rounds=JOB["warm_up"] + JOB["rounds"] + 1)
    times = [b - a for a, b in zip(Timed.started, Timed.started[1:])][JOB["warm_up"]:]
    own.model.load_state_dict(result.arrays.to_torch_state_dict())
    with open(JOB["out"], "w", encoding="utf-8") as file:
        json.dump({"seconds": times, "accuracy": own.accuracy(), "version": __import__("flwr").__version__}, file)


if __name__ == "__main__":
    run_simulation(server_app=server_app, client_app=client_app, num_supernodes=JOB["clients"],
                   backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 2}})
    with open(JOB["out"], encoding="utf-8") as out:
        print(out.read())
