"""An independent float64 answer for `npm run measure:sts`: all-MiniLM-L6-v2 on a STS file, mean pooling, cosine, Spearman.

    /usr/bin/python3 sts_float64.py MODEL_FOLDER IDS.json STS_FILE

IDS.json holds the token ids of every pair, [[a, b], ...], made by the official tokenizers library (see test/golden/README.md).
"""
import json
import sys

import torch

import bert_reference as reference
import safetensors_io

folder, ids_file, sts = sys.argv[1:4]
with open(f"{folder}/config.json") as file:
    config = json.load(file)
names = json.load(open(ids_file))
weights = {k: v.double() for k, v in safetensors_io.load(f"{folder}/model.fp16.safetensors").items() if v.is_floating_point()}
scores = [float(line.split("\t")[4]) for line in open(sts, encoding="utf-8").read().split("\n") if line.count("\t") >= 6]


def embed(rows):
    """Rows of ids to unit vectors; sequences of one length go together, so nothing is padded."""
    result = [None] * len(rows)
    by_length = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(i)
    for length, members in by_length.items():
        for start in range(0, len(members), 64):
            part = members[start : start + 64]
            ids = torch.tensor([rows[i] for i in part])
            mask = torch.ones_like(ids)
            hidden = reference.bert(weights, config, ids, mask, torch.zeros_like(ids))["last_hidden_state"]
            vectors = torch.nn.functional.normalize(hidden.mean(1), dim=1)
            for i, vector in zip(part, vectors):
                result[i] = vector
    return torch.stack(result)


def ranks(values):
    values = torch.tensor(values, dtype=torch.float64)
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts.double() - 1) / 2)[inverse]


with torch.no_grad():
    a, b = embed([pair[0] for pair in names]), embed([pair[1] for pair in names])
cosines = (a * b).sum(1).tolist()
x, y = ranks(scores), ranks(cosines)
x, y = x - x.mean(), y - y.mean()
print(f"Spearman {((x * y).sum() / (x.norm() * y.norm())).item():.6f}  {len(scores)} pairs")
