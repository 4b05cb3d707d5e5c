"""The benchmark: ratios worked by hand, ways that take turns, and all parts on a model of a few weights."""

import pytest

from helpers.errors import UserError
from helpers.evaluation import benchmark, measured
from helpers.files import write_json
from helpers.run import Run


def test_ways_take_turns_and_a_ratio_is_that_of_turns_that_followed_each_other(tmp_path):
    seen, rates = [], {"a": iter([4.0, 9.0, 6.0]), "b": iter([2.0, 3.0, 6.0])}
    bench = benchmark.Bench(Run("calendar", profile="smoke", out=str(tmp_path)), repeats=3)
    ways = {name: lambda name=name: seen.append(name) or next(rates[name]) for name in "ab"}
    (line,) = bench.lines("part", "texts/s", ways, [("a", "b")])
    assert "".join(seen) == "ababab"
    assert (line["low"], line["ratio"], line["high"]) == (1.0, 2.0, 3.0)
    assert (line["rate"], line["other_rate"]) == (6.0, 3.0)


def test_every_part_on_a_tiny_model_gives_ratios_in_order(base, encoder, tmp_path, monkeypatch):
    for name in ("SIZE", "EASY"):
        monkeypatch.setattr(benchmark, name, getattr(benchmark, name) // 8)
    settings = {"base_model": str(base), "encoder_model": str(encoder), "max_rows": 24}
    run = Run("calendar", profile="cpu", out=str(tmp_path), settings=settings)
    content = benchmark.measure(benchmark.Bench(run, repeats=2, seconds=0.0, texts=3))
    lines = content["lines"]
    assert [line["part"] for line in lines] == ["training"] * 2 + ["decoding"] + ["reading"] + ["serving"] * 4
    for line in lines:
        assert 0 < line["low"] <= line["ratio"] <= line["high"] and line["rate"] > 0 < line["other_rate"]
    assert content["manifest"]["gemm_gflops"] > 0 and content["manifest"]["decoded by"] == "the untuned base"
    write_json(tmp_path / "benchmark.json", content)
    table, caption = measured.benchmark_table(tmp_path / "benchmark.json")
    assert len(table) == len(lines) and "median, smallest and largest ratio of 2 turns" in caption
    assert measured.benchmark_table(tmp_path / "none.json") is None


def test_parts_and_tasks_that_are_not_there_are_one_line(tmp_path):
    runs = (Run(task, profile="smoke", out=str(tmp_path)) for task in ("calendar", "it_ner"))
    calendar, taggers = map(benchmark.Bench, runs)
    with pytest.raises(UserError, match="did you mean 'serving'"):
        benchmark.measure(calendar, ["servin"])
    with pytest.raises(UserError, match="no model that writes"):
        benchmark.measure(taggers)
