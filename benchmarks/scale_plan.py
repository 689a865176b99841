"""A plan for many rows on a cluster, computed from measured unit costs: time, memory, money.

    python benchmarks/scale_plan.py                        # a billion rows
    python benchmarks/scale_plan.py --rows 50000000 --vcpus 4,16

The figures of `MEASURED` come from `benchmarks/engines.py` (taxi rows, 18 columns); prices, the
storage's speed and the share of time that workers are busy are assumptions: put in your own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BUNDLES_PER_VCPU = 4  # as mlproject.engines.dask_runner cuts a stage


@dataclass(frozen=True)
class UnitCosts:
    """What things cost.

    Attributes:
        ingest_rows_per_cpu_s: CSV to Examples; on one machine, before the cluster.
        rows_per_cpu_s: Step on the workers -> rows for each of their CPU seconds.
        driver_s: Step -> seconds that the driver works alone, however many rows.
        driver_s_per_bundle: Seconds of the driver for each bundle of a step.
        start_s: Seconds until a fresh worker has imported everything.
        worker_gib: Memory of a worker of one vCPU, GiB.
        driver_gib: Memory of the driver, GiB.
        example_bytes: Bytes of a row of the Examples on disk.
        transformed_bytes: Bytes of a transformed row on disk.
        storage_gb_per_s: What the shared storage reads or writes in all, GB (1e9 bytes) a second.
        busy: Share of a step's time that a worker is busy; the rest it waits for the last bundle.
        usd_per_vcpu_hour: Price of a vCPU.
        usd_per_gib_hour: Price of memory.
    """

    ingest_rows_per_cpu_s: float
    rows_per_cpu_s: Mapping[str, float]
    driver_s: Mapping[str, float]
    driver_s_per_bundle: float
    start_s: float
    worker_gib: float
    driver_gib: float
    example_bytes: float
    transformed_bytes: float
    storage_gb_per_s: float
    busy: float
    usd_per_vcpu_hour: float
    usd_per_gib_hour: float


MEASURED = UnitCosts(
    ingest_rows_per_cpu_s=400_000,
    rows_per_cpu_s={"statistics": 480_000, "analysis": 230_000, "applying": 730_000},
    driver_s={"statistics": 1.0, "analysis": 2.6, "applying": 0.3},
    driver_s_per_bundle=0.006,
    start_s=12,
    worker_gib=1.1,
    driver_gib=1.5,
    example_bytes=21,
    transformed_bytes=104,
    storage_gb_per_s=1.0,
    busy=0.8,
    usd_per_vcpu_hour=0.05,
    usd_per_gib_hour=0.006,
)


@dataclass(frozen=True)
class Plan:
    """What a run needs.

    Attributes:
        vcpus: Workers of one vCPU each.
        ingest_min: Minutes of one machine before the cluster starts.
        step_min: Step -> minutes on the cluster.
        cpu_hours: CPU hours of workers, driver and ingest.
        cluster_gib: Memory of all workers and the driver, GiB.
        storage_gb: Examples and transformed rows on the shared storage, GB (1e9 bytes).
        usd: Price of the cluster while it stands, and of the driver all the time.
    """

    vcpus: int
    ingest_min: float
    step_min: Mapping[str, float]
    cpu_hours: float
    cluster_gib: float
    storage_gb: float
    usd: float

    @property
    def cluster_min(self) -> float:
        """Minutes that the cluster stands."""
        return sum(self.step_min.values())


def plan(rows: float, vcpus: int, costs: UnitCosts = MEASURED) -> Plan:
    """Computes what a run of so many rows needs on so many vCPUs."""
    bundles = BUNDLES_PER_VCPU * vcpus
    driver_s = {s: d + bundles * costs.driver_s_per_bundle for s, d in costs.driver_s.items()}
    work_s = {step: rows / rate for step, rate in costs.rows_per_cpu_s.items()}
    row_bytes = dict.fromkeys(work_s, costs.example_bytes)
    row_bytes["applying"] += costs.transformed_bytes
    step_min = {"start": costs.start_s / 60}
    for step, work in work_s.items():
        storage_s = rows * row_bytes[step] / 1e9 / costs.storage_gb_per_s
        step_min[step] = (max(work / vcpus / costs.busy, storage_s) + driver_s[step]) / 60
    ingest_s = rows / costs.ingest_rows_per_cpu_s
    cluster_h = sum(step_min.values()) / 60
    driver_h = cluster_h + ingest_s / 3600
    price = (
        vcpus * cluster_h * (costs.usd_per_vcpu_hour + costs.worker_gib * costs.usd_per_gib_hour),
        driver_h * (costs.usd_per_vcpu_hour + costs.driver_gib * costs.usd_per_gib_hour),
    )
    cpu_s = sum(work_s.values()) + sum(driver_s.values()) + ingest_s + vcpus * costs.start_s
    return Plan(
        vcpus=vcpus,
        ingest_min=ingest_s / 60,
        step_min=step_min,
        cpu_hours=cpu_s / 3600,
        cluster_gib=vcpus * costs.worker_gib + costs.driver_gib,
        storage_gb=rows * (costs.example_bytes + costs.transformed_bytes) / 1e9,
        usd=sum(price),
    )


def table(rows: float, vcpus: Sequence[int], costs: UnitCosts = MEASURED) -> str:
    """The plans as a Markdown table, a column for each number of vCPUs."""
    plans = [plan(rows, count, costs) for count in vcpus]
    lines = [
        ("ingest, one machine, min", [f"{p.ingest_min:,.0f}" for p in plans]),
        *((f"{s}, min", [f"{p.step_min[s]:,.1f}" for p in plans]) for s in plans[0].step_min),
        ("the cluster stands, min", [f"{p.cluster_min:,.1f}" for p in plans]),
        ("CPU hours, all", [f"{p.cpu_hours:,.1f}" for p in plans]),
        ("memory of the cluster, GiB", [f"{p.cluster_gib:,.0f}" for p in plans]),
        ("shared storage, GB", [f"{p.storage_gb:,.0f}" for p in plans]),
        ("price, USD", [f"{p.usd:,.2f}" for p in plans]),
    ]
    head = " | ".join(f"{count} vCPUs" for count in vcpus)
    rule = "| --- |" + " --: |" * len(vcpus)
    body = [f"| {name} | {' | '.join(values)} |" for name, values in lines]
    return "\n".join([f"| {rows:,.0f} rows | {head} |", rule, *body])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=float, default=1e9)
    parser.add_argument("--vcpus", default="8,32,128", help="numbers of vCPUs, by commas")
    args = parser.parse_args()
    print(table(args.rows, [int(count) for count in args.vcpus.split(",")]))


if __name__ == "__main__":
    main()
