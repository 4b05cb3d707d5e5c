"""Where the parts of a data set lie, and those that are kept as Parquet or Arrow tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from helpers.errors import UserError
from helpers.paths import ROOT

ENDINGS = "jsonl ndjson json csv tsv conll bio iob iob2 txt parquet".split()


class Record(NamedTuple):
    """A row as it stands in its file; `row` is the ValueError that says why there is none, where that is so."""

    line: int
    text: str
    row: Any


def shown(path: Path) -> str:
    """A path as it is shown: relative to the repository where it lies inside."""
    absolute = path.resolve()
    return (absolute.relative_to(ROOT) if absolute.is_relative_to(ROOT) else path).as_posix()


def part_file(folder: Path, part: str) -> Path | None:
    """The file of a part in a folder: `train` in any form that is read, packed or not, or a data set of `datasets`."""
    for name in {"validation": ("validation", "valid", "dev", "val")}.get(part, (part,)):
        for ending in ENDINGS:
            for file in (folder / f"{name}.{ending}", folder / f"{name}.{ending}.gz"):
                if file.exists():
                    return file
        for place in (folder, folder / "data"):
            if shards := [*place.glob(f"{name}-00000-of-*.parquet"), *(place / name).glob("*.arrow")][:1]:
                return shards[0] if shards[0].suffix == ".parquet" else place / name
    return None


def shards_of(path: Path) -> list[Path]:
    """The files that a part lies in: one, those of an Arrow folder, or numbered Parquet files."""
    if path.is_dir():
        return sorted(path.glob("*.arrow"))
    return sorted(path.parent.glob(path.name.replace("-00000-of-", "-*-of-"))) or [path]


def table_rows(path: Path) -> Iterator[Record]:
    """Rows of a Parquet or Arrow file, or of the shards beside it; classes kept as numbers become their names."""
    import pyarrow
    from pyarrow import ipc, parquet

    number = 0
    for shard in shards_of(path):
        try:
            content = pyarrow.py_buffer(shard.read_bytes())
            begin = content[:6].to_pybytes()
            if begin.startswith(b"PAR1"):
                table = parquet.read_table(pyarrow.BufferReader(content))
            else:
                table = (ipc.open_file if begin == b"ARROW1" else ipc.open_stream)(content).read_all()
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).split("\n")[0][:150]
            raise UserError(f"{shown(shard)} cannot be read: {reason}") from None
        about = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about.get("info", {}).get("features", {})
        names = {key: (one.get("feature") or one).get("names") for key, one in features.items()}
        for row in table.to_pylist():
            number += 1
            row = {key: _named(value, names.get(key)) for key, value in row.items()}
            yield Record(number, str(row), row)


def _named(value: Any, names: Sequence[str] | None) -> Any:
    if names and isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
