"""The synthetic taxi trips of examples/taxi/generate.py."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import tracemalloc
from datetime import date
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

REPO = Path(__file__).resolve().parents[2]
SCRIPT = REPO / "examples" / "taxi" / "generate.py"
DATA = Path(os.environ.get("BENISON_TEST_DATA", REPO.parent / "shared" / "data"))
SAMPLE = DATA / "chicago_taxi" / "data.csv"

# The sample's columns in file order, and the share of its rows in which each is absent.
ABSENT = {
    "pickup_community_area": 2 / 15002,
    "fare": 0.0,
    "trip_start_month": 0.0,
    "trip_start_hour": 0.0,
    "trip_start_day": 0.0,
    "trip_start_timestamp": 0.0,
    "pickup_latitude": 2 / 15002,
    "pickup_longitude": 2 / 15002,
    "dropoff_latitude": 483 / 15002,
    "dropoff_longitude": 483 / 15002,
    "trip_miles": 0.0,
    "pickup_census_tract": 15001 / 15002,
    "dropoff_census_tract": 4241 / 15002,
    "payment_type": 0.0,
    "company": 5140 / 15002,
    "trip_seconds": 6 / 15002,
    "dropoff_community_area": 507 / 15002,
    "tips": 0.0,
}
LABEL_SHARE = 3374 / 15002
CARD_SHARE = 4975 / 15002


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("taxi_generate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _load()
TaxiSpec, Anomaly, Change = generate.TaxiSpec, generate.Anomaly, generate.Change
CHANGE_DAY = date(2015, 1, 1)
CHANGE_S = 1_420_070_400


def _table(**fields: object) -> pa.Table:
    spec = TaxiSpec(**fields)
    return pa.Table.from_batches(generate.generate_batches(spec), spec.schema)


@cache
def _trips() -> pd.DataFrame:
    """60,000 trips without anomalies, with the label."""
    trips = _table(rows=60_000, seed=7).to_pandas()
    return trips.assign(label=_label(trips))


def _label(trips: pd.DataFrame) -> pd.Series:
    return (trips.tips > 0.2 * trips.fare).astype(int)


def _features(trips: pd.DataFrame) -> pd.DataFrame:
    features = trips.drop(columns=["tips", "label", "pickup_census_tract"])
    for name in ("payment_type", "company"):
        features[name] = pd.Categorical(features[name]).codes
    return features


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *args], capture_output=True, text=True, timeout=60
    )


# ---- Determinism --------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_same_spec_gives_the_same_bytes(tmp_path, suffix):
    spec = TaxiSpec(rows=2_000, seed=3, anomalies=(Anomaly("negative_fare"),))
    first = generate.write(spec, tmp_path / f"a{suffix}")
    second = generate.write(spec, tmp_path / f"b{suffix}")
    assert _digest(first) == _digest(second)


def test_another_process_gives_the_same_bytes(tmp_path):
    generate.write(TaxiSpec(rows=500, seed=5), tmp_path / "here.csv")
    done = _run("--rows", "500", "--seed", "5", "--out", str(tmp_path / "there.csv"))
    assert done.returncode == 0, done.stderr
    assert _digest(tmp_path / "here.csv") == _digest(tmp_path / "there.csv")


def test_another_seed_gives_other_rows():
    assert not _table(rows=100, seed=1).equals(_table(rows=100, seed=2))


def test_longer_run_begins_with_the_rows_of_a_shorter_one():
    anomalies = tuple(Anomaly(kind) for kind in generate.ANOMALIES)
    long = _table(rows=70_000, seed=4, anomalies=anomalies)
    for rows in (1, 1_000, generate.BLOCK_ROWS, generate.BLOCK_ROWS + 1):
        assert long.slice(0, rows).equals(_table(rows=rows, seed=4, anomalies=anomalies))


def test_blocks_differ_from_each_other():
    batches = list(generate.generate_batches(TaxiSpec(rows=2 * generate.BLOCK_ROWS)))
    assert [b.num_rows for b in batches] == [generate.BLOCK_ROWS] * 2
    for column in ("trip_start_timestamp", "fare", "trip_miles", "company"):
        first, second = (b.column(b.schema.get_field_index(column)).to_pandas() for b in batches)
        assert (first != second).mean() > 0.3, column


# ---- Shape and law ------------------------------------------------------------------------------
def test_columns_stand_in_the_order_of_the_sample(tmp_path):
    path = generate.write(TaxiSpec(rows=10), tmp_path / "trips.csv")
    assert path.read_text().splitlines()[0].split(",") == list(ABSENT)
    assert _table(rows=10).schema.names == list(ABSENT)


def test_formats_hold_the_same_rows(tmp_path):
    spec = TaxiSpec(rows=3_000, seed=2)
    csv = pd.read_csv(generate.write(spec, tmp_path / "t.csv"))
    packed = pd.read_csv(generate.write(spec, tmp_path / "t.csv.gz"))
    parquet = pq.read_table(generate.write(spec, tmp_path / "t.parquet")).to_pandas()
    pd.testing.assert_frame_equal(csv, packed)
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)


@pytest.mark.parametrize("column", ABSENT)
def test_share_of_absent_cells_is_that_of_the_sample(column):
    assert _trips()[column].isna().mean() == pytest.approx(ABSENT[column], abs=0.012)


def test_columns_that_are_never_absent_in_the_sample_never_are():
    absent = _trips().isna().sum()
    assert absent[[name for name, share in ABSENT.items() if share == 0]].sum() == 0


def test_label_and_payment_shares_are_those_of_the_sample():
    trips = _trips()
    assert trips.label.mean() == pytest.approx(LABEL_SHARE, abs=0.01)
    assert (trips.payment_type == "Credit Card").mean() == pytest.approx(CARD_SHARE, abs=0.015)


def test_payment_type_decides_tips():
    trips = _trips()
    tipped = (trips.tips > 0).groupby(trips.payment_type).mean()
    assert tipped["Cash"] < 0.003
    assert tipped["Credit Card"] == pytest.approx(0.95, abs=0.02)


def test_fare_follows_miles_and_seconds():
    rank = _trips()[["fare", "trip_miles", "trip_seconds"]].corr("spearman")["fare"]
    assert rank.trip_miles == pytest.approx(0.52, abs=0.08)
    assert rank.trip_seconds == pytest.approx(0.94, abs=0.06)


def test_zeros_are_as_common_as_in_the_sample():
    trips = _trips()
    assert (trips.trip_miles == 0).mean() == pytest.approx(0.273, abs=0.02)
    assert (trips.trip_seconds == 0).mean() == pytest.approx(0.032, abs=0.01)
    assert (trips.fare == 0).mean() == pytest.approx(0.0018, abs=0.001)


def test_calendar_columns_come_from_the_timestamp():
    trips = _trips()
    when = pd.to_datetime(trips.trip_start_timestamp, unit="s")
    assert (trips.trip_start_month == when.dt.month).all()
    assert (trips.trip_start_hour == when.dt.hour).all()
    assert (trips.trip_start_day == (when.dt.dayofweek + 1) % 7 + 1).all()  # 1 is Sunday
    assert (trips.trip_start_timestamp % 900 == 0).all()
    assert trips.trip_start_hour.value_counts().idxmin() in range(3, 7)


def test_community_area_ties_coordinates_and_tract():
    trips = _trips().dropna(subset=["dropoff_community_area"])
    by_area = trips.groupby("dropoff_community_area")
    assert by_area.dropoff_latitude.std().max() < 0.02
    assert by_area.dropoff_longitude.std().max() < 0.02
    with_tract = trips.dropna(subset=["dropoff_census_tract"])
    area_of_tract = with_tract.dropoff_census_tract // 10_000 - 1_703_100
    assert (area_of_tract == with_tract.dropoff_community_area).all()


def test_even_the_first_row_alone_has_a_pickup_tract():
    assert _table(rows=1, seed=9)["pickup_census_tract"].null_count == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_label_can_be_learnt_but_not_perfectly(seed):
    trips = _table(rows=15_000, seed=seed).to_pandas()
    trips = trips.assign(label=_label(trips))
    features, train = _features(trips), slice(0, 10_000)
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
    model.fit(features[train], trips.label[train])
    score = model.predict_proba(features[10_000:])[:, 1]
    assert 0.93 < roc_auc_score(trips.label[10_000:], score) < 0.97
    card = (trips.payment_type[10_000:] == "Credit Card").to_numpy()
    assert 0.6 < roc_auc_score(trips.label[10_000:][card], score[card]) < 0.76


def test_quantiles_are_those_of_the_real_sample():
    if not SAMPLE.exists():
        pytest.skip(f"no Chicago Taxi sample at {SAMPLE}; set BENISON_TEST_DATA to its parent")
    real, trips, at = pd.read_csv(SAMPLE), _trips(), [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
    assert list(real.columns) == list(trips.columns)[:-1]
    # The slack is relative, plus one step of the meter (20 cents, 0.1 mile, a minute).
    for column, relative, step in (
        ("fare", 0.15, 0.2),
        ("trip_miles", 0.2, 0.1),
        ("trip_seconds", 0.15, 60),
        ("tips", 0.2, 0.05),
    ):
        expected, received = real[column].quantile(at), trips[column].quantile(at)
        slack = relative * expected + step
        assert ((received - expected).abs() <= slack).all(), f"{column}: {received.tolist()}"


def test_no_row_is_one_of_the_real_sample():
    if not SAMPLE.exists():
        pytest.skip(f"no Chicago Taxi sample at {SAMPLE}; set BENISON_TEST_DATA to its parent")
    key = ["trip_start_timestamp", "fare", "trip_seconds", "trip_miles", "pickup_community_area"]
    key += ["dropoff_latitude", "tips"]
    assert pd.read_csv(SAMPLE)[key].dropna().merge(_trips()[key].dropna(), on=key).empty


# ---- Time range ---------------------------------------------------------------------------------
@pytest.mark.parametrize("by_time", [False, True])
def test_timestamps_span_the_range_and_no_more(by_time):
    when = _table(
        rows=20_000, start=date(2014, 2, 27), end=date(2014, 3, 2), sorted_by_time=by_time
    )["trip_start_timestamp"].to_numpy()
    days = np.bincount((when - 1_393_459_200) // 86_400)
    assert len(days) == 4  # both ends are included
    assert days.min() > 3_000


def test_sorted_rows_are_in_time_order_across_blocks():
    when = _table(rows=150_000, sorted_by_time=True)["trip_start_timestamp"].to_numpy()
    assert (np.diff(when) >= 0).all()
    assert when[0] < 1_357_100_000
    assert when[-1] > 1_483_000_000


def test_nothing_drifts_unless_asked():
    trips = _trips()
    early = trips.trip_start_timestamp < CHANGE_S
    assert trips.label[early].mean() == pytest.approx(trips.label[~early].mean(), abs=0.015)
    assert trips.fare[early].median() == pytest.approx(trips.fare[~early].median(), abs=0.25)


# ---- Changes ------------------------------------------------------------------------------------
def test_drift_moves_fare_and_payment_only_from_its_day():
    plain = _table(rows=40_000).to_pandas()
    drifted = _table(rows=40_000, drift=Change(CHANGE_DAY)).to_pandas()
    before = plain.trip_start_timestamp < CHANGE_S
    pd.testing.assert_frame_equal(plain[before], drifted[before])
    card = (drifted.payment_type == "Credit Card").groupby(before).mean()
    assert card[False] - card[True] > 0.15
    fare = drifted.fare.groupby(before).mean()
    assert fare[False] / fare[True] == pytest.approx(1.3, abs=0.06)


def _label_shift_at_equal_fares(**change: object) -> float:
    """The largest |z| between label shares of card trips after the day, over equal fares.

    Bands of fares would not do: a drift moves the mix within a band, and the label jumps at single
    fares (a tip of $1 is above 20 % of $4.99, but not of $5.00).
    """
    shares = []
    for fields in ({}, change):
        table = _table(rows=200_000, **fields)
        trips = table.select(["trip_start_timestamp", "payment_type", "fare", "tips"]).to_pandas()
        after = trips.trip_start_timestamp >= CHANGE_S
        trips = trips[after & (trips.payment_type == "Credit Card") & (trips.fare > 0)]
        shares.append(_label(trips).groupby(trips.fare).agg(["sum", "size"]))
    both = shares[0].join(shares[1], rsuffix="_changed", how="inner")
    both = both[(both["size"] >= 50) & (both["size_changed"] >= 50)]
    assert len(both) >= 10, "too few fares in common to judge"
    pooled = (both["sum"] + both["sum_changed"]) / (both["size"] + both["size_changed"])
    error = np.sqrt(pooled * (1 - pooled) * (1 / both["size"] + 1 / both["size_changed"]))
    moved = both["sum"] / both["size"] - both["sum_changed"] / both["size_changed"]
    return float((moved / error.clip(lower=1e-9)).abs().max())


def test_drift_keeps_the_law_of_the_label_and_concept_change_does_not():
    assert _label_shift_at_equal_fares(drift=Change(CHANGE_DAY)) < 4
    assert _label_shift_at_equal_fares(concept_change=Change(CHANGE_DAY)) > 6


def test_strength_scales_a_drift():
    fares = [
        _table(rows=20_000, drift=Change(date(2013, 1, 1), s))["fare"].to_numpy().mean()
        for s in (0.5, 1.0, 2.0)
    ]
    assert fares[0] < fares[1] < fares[2]


def test_concept_change_moves_tips_alone_and_only_from_its_day():
    plain = _table(rows=40_000).to_pandas()
    changed = _table(rows=40_000, concept_change=Change(CHANGE_DAY)).to_pandas()
    before = plain.trip_start_timestamp < CHANGE_S
    pd.testing.assert_frame_equal(plain[before], changed[before])
    pd.testing.assert_frame_equal(plain.drop(columns="tips"), changed.drop(columns="tips"))
    after = changed[~before]
    positive = _label(after).groupby(after.payment_type).mean()
    was = _label(plain[~before]).groupby(after.payment_type).mean()
    assert was["Credit Card"] - positive["Credit Card"] > 0.1
    assert positive["Cash"] - was["Cash"] > 0.05


def test_concept_change_costs_a_trained_model_its_accuracy():
    trips = _table(rows=30_000, concept_change=Change(CHANGE_DAY)).to_pandas()
    trips = trips.assign(label=_label(trips))
    before = (trips.trip_start_timestamp < CHANGE_S).to_numpy()
    train, held = before & (np.arange(30_000) < 20_000), np.arange(30_000) >= 20_000
    features = _features(trips)
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
    model.fit(features[train], trips.label[train])
    old, new = (
        roc_auc_score(trips.label[rows], model.predict_proba(features[rows])[:, 1])
        for rows in (held & before, held & ~before)
    )
    assert old > 0.93
    assert old - new > 0.08


# ---- Anomalies ----------------------------------------------------------------------------------
def _plain_and_spoilt(text: str, rows: int = 20_000) -> tuple[pd.DataFrame, pd.DataFrame]:
    spoilt = _table(rows=rows, seed=6, anomalies=(Anomaly.parse(text),)).to_pandas()
    return _table(rows=rows, seed=6).to_pandas(), spoilt


@pytest.mark.parametrize(
    ("text", "column"), [("missing_column", "company"), ("missing_column=fare", "fare")]
)
def test_missing_column_drops_it(text, column):
    plain, spoilt = _plain_and_spoilt(text, 1_000)
    pd.testing.assert_frame_equal(plain.drop(columns=column), spoilt)


def test_negative_fare_turns_the_sign():
    plain, spoilt = _plain_and_spoilt("negative_fare:0.1")
    assert (spoilt.fare < 0).mean() == pytest.approx(0.1, abs=0.01)
    assert (spoilt.fare.abs() == plain.fare).all()


def test_unknown_payment_type_is_new_to_the_sample():
    plain, spoilt = _plain_and_spoilt("unknown_payment_type")
    new = ~spoilt.payment_type.isin(set(plain.payment_type))
    assert new.mean() == pytest.approx(0.05, abs=0.01)


def test_out_of_range_hour_is_no_hour_of_the_day():
    plain, spoilt = _plain_and_spoilt("out_of_range_hour:0.2")
    assert plain.trip_start_hour.between(0, 23).all()
    assert (spoilt.trip_start_hour > 23).mean() == pytest.approx(0.2, abs=0.015)


def test_string_in_number_makes_the_column_text(tmp_path):
    plain, spoilt = _plain_and_spoilt("string_in_number=trip_seconds:0.1")
    number = pd.to_numeric(spoilt.trip_seconds, errors="coerce")
    hit = spoilt.trip_seconds == "unknown"
    assert hit.mean() == pytest.approx(0.1, abs=0.01)
    assert number[~hit].equals(plain.trip_seconds[~hit])
    spec = TaxiSpec(rows=1_000, anomalies=(Anomaly("string_in_number"),))
    assert pd.read_csv(generate.write(spec, tmp_path / "t.csv")).fare.dtype == object


def test_null_burst_empties_consecutive_rows():
    _, spoilt = _plain_and_spoilt("null_burst=payment_type:0.03", 70_000)
    absent = spoilt.payment_type.isna().to_numpy()
    assert (absent == (np.arange(70_000) % 1_000 < 30)).all()


@pytest.mark.parametrize("kind", list(generate.ANOMALIES))
def test_anomaly_leaves_the_other_columns_alone(kind):
    plain, spoilt = _plain_and_spoilt(kind, 2_000)
    column = Anomaly(kind).column
    others = [name for name in plain.columns if name != column]
    pd.testing.assert_frame_equal(plain[others], spoilt[others])
    assert column not in spoilt or not spoilt[column].equals(plain[column])


def test_anomalies_add_up():
    anomalies = ("string_in_number=fare:0.1", "negative_fare:0.1", "missing_column=fare")
    table = _table(rows=1_000, anomalies=tuple(Anomaly.parse(a) for a in anomalies))
    assert "fare" not in table.schema.names
    text = _table(rows=1_000, anomalies=tuple(Anomaly.parse(a) for a in anomalies[:2]))["fare"]
    assert {"unknown"} < set(text.to_pylist())
    assert any(cell.startswith("-") for cell in text.to_pylist())


# ---- Memory and files ---------------------------------------------------------------------------
def test_a_million_rows_stream_in_bounded_memory():
    generate._city(), generate._calendar(TaxiSpec.start, TaxiSpec.end)
    tracemalloc.start()
    try:
        rows = arrow = 0
        for batch in generate.generate_batches(TaxiSpec(rows=1_000_000)):
            rows, arrow = rows + batch.num_rows, max(arrow, pa.total_allocated_bytes())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 1_000_000
    assert peak < 120e6  # numpy: one block of some 65 columns of 0.5 MB; all rows are 20 times that
    assert arrow < 120e6


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    out = tmp_path / "trips.csv"
    out.write_text("old")
    batches = generate.generate_batches

    def failing(spec):
        yield next(batches(spec))
        assert list(tmp_path.glob(".*.part")), "the rows must go to a file aside"
        assert out.read_text() == "old"
        raise OSError("disk is full")

    monkeypatch.setattr(generate, "generate_batches", failing)
    with pytest.raises(OSError, match="disk is full"):
        generate.write(TaxiSpec(rows=100), out)
    assert [p.name for p in tmp_path.iterdir()] == ["trips.csv"]
    assert out.read_text() == "old"


def test_write_makes_the_folder_and_reports_progress(tmp_path):
    seen: list[int] = []
    generate.write(TaxiSpec(rows=70_000), tmp_path / "new" / "t.parquet", seen.append)
    assert seen == [65_536, 70_000]
    assert pq.read_metadata(tmp_path / "new" / "t.parquet").num_rows == 70_000


# ---- Command line -------------------------------------------------------------------------------
def test_command_line_passes_every_option_on(tmp_path):
    out = tmp_path / "trips.parquet"
    done = _run(
        *("--rows", "3000", "--seed", "8", "--start", "2014-01-01", "--end", "2014-12-31"),
        *("--sorted", "--anomaly", "null_burst:0.01", "--anomaly", "missing_column=company"),
        *("--drift", "2014-06-01:2", "--concept-change", "2014-09-01", "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    expected = _table(
        rows=3_000,
        seed=8,
        start=date(2014, 1, 1),
        end=date(2014, 12, 31),
        sorted_by_time=True,
        anomalies=(Anomaly("null_burst", rate=0.01), Anomaly("missing_column")),
        drift=Change(date(2014, 6, 1), 2.0),
        concept_change=Change(date(2014, 9, 1)),
    )
    assert pq.read_table(out).equals(expected)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--rows", "0"], "rows must be a positive number. Received: 0"),
        (["--rows", "many"], "invalid int value: 'many'"),
        (["--seed", "-1"], "seed must be from 0"),
        (["--start", "2014-01-02", "--end", "2014-01-01"], "end 2014-01-01 is before start"),
        (["--start", "yesterday"], "expected a date as YYYY-MM-DD. Received: 'yesterday'"),
        (["--end", "9999-12-31"], "must lie in 1970 to 2099"),
        (["--anomaly", "negativ_fare"], "did you mean 'negative_fare'?"),
        (["--anomaly", "gremlins"], "Expected one of: negative_fare,"),
        (["--anomaly", "missing_column=compny"], "did you mean 'company'?"),
        (["--anomaly", "missing_column:0.5"], "takes no rate"),
        (["--anomaly", "negative_fare=tips"], "takes no column"),
        (["--anomaly", "negative_fare:2"], "at most 1. Received: 2.0"),
        (["--anomaly", "negative_fare:nan"], "at most 1. Received: nan"),
        (["--anomaly", "negative_fare:lots"], "expected a number after ':'"),
        (["--anomaly", "string_in_number=company"], "needs a number column"),
        (["--drift", "2015-01-01:0"], "strength of a change must be above 0"),
        (["--drift", "2015-13-01"], "expected a date"),
        (["--concept-change", "2015-01-01:x"], "expected a number after ':'"),
        (["--sort-of"], "unrecognized arguments: --sort-of"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(tmp_path, capsys, args, message):
    try:
        code = generate.main([*args, "--out", str(tmp_path / "trips.csv")])
    except SystemExit as stop:  # argparse's own
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("trips.xlsx", "must end in one of .csv, .csv.gz, .parquet"),
        ("folder.csv", "must be a file"),
        ("file/trips.csv", "cannot write"),
        ("/proc/nowhere/trips.csv", "cannot write"),
    ],
)
def test_unwritable_out_gives_one_line_and_exit_code_2(tmp_path, out, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    done = _run("--rows", "10", "--out", str(tmp_path / out))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_help_says_that_the_data_is_synthetic_and_names_every_anomaly():
    done = _run("--help")
    assert done.returncode == 0
    assert "SYNTHETIC" in done.stdout
    assert all(kind in done.stdout for kind in generate.ANOMALIES)
