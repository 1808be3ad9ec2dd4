"""What sts-tuned.mjs and few-shot.mjs do, in PyTorch with the same recipe, on the ids that bertlet's tokenizer made: a line of JSON to standard output, or one a draw.

    python3 sentences.py JOB CHECKPOINT

JOB is a JSON file: { "kind": "sts" | "few-shot", ... } as those write it. Plain PyTorch 1.13, and scikit-learn's LogisticRegression for few-shot; losses follow sentence-transformers
6.0.0 (see test/golden/generate_sentences.py), and few-shot's pairs are those that bertlet drew.
"""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

from sst2 import hidden, in_parts, load


def padded(rows):
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return ids, torch.tensor([[1.0] * len(row) + [0.0] * (length - len(row)) for row in rows])


def embed(w, config, rows, training=False):
    """Means of the last layer, [rows, H]."""
    parts, means = in_parts(range(len(rows)), 16, lambda i: len(rows[i])), []
    for part in parts:
        ids, mask = padded([rows[i] for i in part])
        means.append((hidden(w, config, ids, mask, training) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))
    return torch.cat(means)[torch.argsort(torch.tensor([i for part in parts for i in part]))]


def embed_all(w, config, rows):
    with torch.no_grad():
        return F.normalize(embed(w, config, rows), dim=-1)


def cosines(a, b):
    return (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1)


def cosent(scores, labels, scale=20.0):
    scores = scores * scale
    scores = scores[:, None] - scores[None, :]
    scores = scores - (1 - (labels[:, None] < labels[None, :]).float()) * 1e12
    return torch.logsumexp(torch.cat((torch.zeros(1), scores.view(-1))), dim=0)


def train(w, config, recipe, batches, loss_of):
    """`batches` is a list of [[a, b, label], ...]."""
    trained = {k: v for k, v in w.items() if not k.startswith(("pooler.", "classifier."))}
    plain = [k for k in trained if k.endswith("bias") or "LayerNorm" in k]
    groups = [
        {"params": [v for k, v in trained.items() if k not in plain], "weight_decay": recipe["weight_decay"]},
        {"params": [trained[k] for k in plain], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe["learning_rate"])
    total = len(batches)
    warmup = math.ceil(recipe["warmup_ratio"] * total)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: n / max(1, warmup) if n < warmup else max(0.0, (total - n) / max(1, total - warmup)))
    for batch in batches:
        vectors = embed(w, config, [a for a, _, _ in batch] + [b for _, b, _ in batch], True)
        scores = cosines(vectors[: len(batch)], vectors[len(batch) :])
        loss = loss_of(scores, torch.tensor([float(label) for _, _, label in batch]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(trained.values()), recipe["max_grad_norm"])
        optimizer.step()
        schedule.step()


def cut(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def sts(job, w, config):
    from scipy.stats import spearmanr

    recipe, tune = job["recipe"], job["tune"]
    batches = [b for _ in range(recipe["epochs"]) for b in cut([tune[i] for i in torch.randperm(len(tune)).tolist()], recipe["batch"])]
    correlation = lambda: spearmanr(
        cosines(*[embed_all(w, config, [row[c] for row in job["measure"]]) for c in (0, 1)]).numpy(), [row[2] for row in job["measure"]]
    )[0]
    before = correlation()
    train(w, config, recipe, batches, cosent)
    yield {"before": before, "spearman": correlation()}


def few_shot(job, w, config):
    """Of every draw the probe, and where it has pairs the trunk tuned by them too."""
    from sklearn.linear_model import LogisticRegression

    rows, wanted = [ids for ids, _ in job["dev"]], [label for _, label in job["dev"]]

    def accuracy(w, draw, dev):
        head = LogisticRegression(C=1.0, tol=1e-8, max_iter=10000).fit(embed_all(w, config, draw["train"]).double().numpy(), draw["labels"])
        return float((head.predict(dev.double().numpy()) == wanted).mean())

    frozen = embed_all(w, config, rows)
    for draw in job["draws"]:
        result = {"size": draw["size"], "draw": draw["draw"], "logistic": accuracy(w, draw, frozen)}
        if draw.get("pairs"):
            recipe = job["recipe"]
            torch.manual_seed(draw["draw"])
            own = {k: v.detach().clone().requires_grad_() for k, v in w.items()}
            train(own, config, recipe, cut([[draw["train"][a], draw["train"][b], label] for a, b, label in draw["pairs"]], recipe["batch"]), F.mse_loss)
            result["contrastive"] = accuracy(own, draw, embed_all(own, config, rows))
        yield result


def main(path, checkpoint):
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    with open(path) as file:
        job = json.load(file)
    torch.manual_seed(job["seed"])
    w, config = load(checkpoint, job["seed"])
    start = time.time()
    for result in {"sts": sts, "few-shot": few_shot}[job["kind"]](job, w, config):
        print(json.dumps({"version": torch.__version__, **result, "seconds": round(time.time() - start)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
