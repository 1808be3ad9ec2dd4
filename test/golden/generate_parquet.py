"""Golden Parquet files, rows.parquet and rows-zstd.parquet, by pyarrow 25.0.1.

    pip install pyarrow
    python3 generate_parquet.py

Columns as Hugging Face's data sets have them: texts, a class, words with tags by number, SQuAD's answers. Two row groups, compressed by Snappy; the
other file by Zstandard, which bertlet does not read.
"""
import os

import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
CONTEXT = "Ada \U0001f600 lived in London."
table = pa.table(
    {
        "sentence": pa.array(["the cat", "ünï \U0001f600", "", "a\ttab"]),
        "label": pa.array([1, 0, 1, 0], pa.int64()),
        "tokens": pa.array([["the", "cat"], ["a"], ["b", "c"], ["d"]]),
        "ner_tags": pa.array([[0, 1], [0], [1, 2], [0]], pa.list_(pa.int64())),
        "id": pa.array(["a", "b", "c", "d"]),
        "question": pa.array(["Where?", "Who?", "What?", "When?"]),
        "context": pa.array([CONTEXT] * 4),
        "answers": pa.array(
            [
                {"text": ["London"], "answer_start": [15]},
                {"text": ["Ada"], "answer_start": [0]},
                {"text": ["lived", "lived in"], "answer_start": [6, 6]},
                {"text": [], "answer_start": []},
            ],
            pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))]),
        ),
    }
)
pq.write_table(table, os.path.join(HERE, "rows.parquet"), compression="snappy", row_group_size=3)
pq.write_table(table, os.path.join(HERE, "rows-zstd.parquet"), compression="zstd")
