"""The samples of a run, as much of them as somebody asks for: ten million rows do not fit twice.

Texts among the columns that are asked for by name come as categories: a few hundred names stand in
millions of rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """`source` is a table in memory or a samples.parquet; `trials` those that count, None: all."""

    source: pd.DataFrame | Path
    trials: frozenset[Any] | None = None

    def only(self, trials: Collection[Any]) -> Samples:
        """The same samples reduced to some trials."""
        keep = frozenset(trials)
        return replace(self, trials=keep if self.trials is None else keep & self.trials)

    def frame(self) -> pd.DataFrame:
        """Every column, texts as texts."""
        if isinstance(self.source, Path):
            return pd.read_parquet(self.source, filters=_chosen(self.trials))
        if self.trials is None or "trial" not in self.source.columns:
            return self.source
        return self.source[self.source["trial"].isin(self.trials)].reset_index(drop=True)

    def columns(self, *names: str) -> pd.DataFrame:
        """Those of the columns that there are; texts as categories in alphabetical order.

        Of a file, no more is read than where the trials stand.
        """
        if isinstance(self.source, Path):
            return _of_file(self.source, names, _chosen(self.trials))
        return _of_frame(self.frame(), names)


def _chosen(trials: frozenset[Any] | None) -> Any:
    """The rows of these trials, as pyarrow is told; None: all."""
    import pyarrow as pa
    from pyarrow import compute

    if trials is None:
        return None
    return compute.field("trial").isin(pa.array(sorted(trials), pa.string()))


def _of_frame(source: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    found = {name: source[name] for name in names if name in source.columns}
    for name, column in found.items():
        if pd.api.types.is_string_dtype(column.dtype):
            found[name] = column.astype("category")
    return pd.DataFrame(found)


def _of_file(path: Path, names: Collection[str], chosen: Any) -> pd.DataFrame:
    from pyarrow import parquet, types

    # One column at a time: never two copies of more than one of them.
    schema = parquet.read_schema(path)
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if types.is_string(kind) or types.is_large_string(kind):
            columns[name] = _categories(path, name, chosen)
        else:
            table = parquet.read_table(path, columns=[name], filters=chosen)
            columns[name] = table.to_pandas()[name].array
    return pd.DataFrame(columns, copy=False)


def _categories(path: Path, name: str, chosen: Any) -> pd.Categorical[str]:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=[name], read_dictionary=[name], filters=chosen)
    joined = table.unify_dictionaries().column(0).combine_chunks()
    texts = np.asarray(joined.dictionary.to_pylist(), dtype=object)
    codes = joined.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    ranks = np.empty(len(texts) + 1, dtype=np.int32)
    order = np.argsort(texts) if len(texts) else np.array([], dtype=np.int64)
    ranks[order] = np.arange(len(texts))
    ranks[-1] = -1  # a missing text: its code, -1, points here
    return pd.Categorical.from_codes(ranks[codes], categories=pd.Index(texts[order], dtype=str))
