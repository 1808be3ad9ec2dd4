"""Question answering or tagging in PyTorch with the recipe of its caller, on the rows that bertlet's data sets made: one seed, one line of JSON.

    python3 tokens.py ROWS CHECKPOINT RECIPE SEED

ROWS is a JSON file { "task": "qa" | "tags", "outputs": n, "train": [row ...], "dev": [row ...] } of rows { "ids", "types", "labels" }; labels are
[start, end] of qa, one a token of tags, -100 for those that do not count. The result has "outputs", for each dev row the start and end logits, or the
likeliest class of each token. Plain PyTorch; BertForQuestionAnswering and BertForTokenClassification of Hugging Face transformers: the checkpoint's
trunk and a fresh head, which tagging has dropout before.
"""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

from sst2 import hidden, in_parts, linear, load, optimizer_and_schedule


def padded(rows):
    length = max(len(row["ids"]) for row in rows)
    fill = lambda values, value: values + [value] * (length - len(values))
    ids = torch.tensor([fill(row["ids"], 0) for row in rows])
    types = torch.tensor([fill(row["types"], 0) for row in rows])
    mask = torch.tensor([fill([1.0] * len(row["ids"]), 0.0) for row in rows])
    return ids, mask, types


def scores(w, config, task, rows, training):
    ids, mask, types = padded(rows)
    x = hidden(w, config, ids, mask, training, types)
    if task == "tags":
        return linear(w, "classifier", F.dropout(x, config["hidden_dropout_prob"], training))
    # What is padding is no place for an answer.
    return linear(w, "qa_outputs", x) + (1.0 - mask[:, :, None]) * torch.finfo(torch.float32).min


def count_of(task, rows):
    """What losses of a batch are divided by."""
    return sum(label != -100 for row in rows for label in row["labels"]) if task == "tags" else 2 * len(rows)


def loss_of(task, logits, rows):
    """The sum."""
    if task == "tags":
        labels = torch.tensor([row["labels"] + [-100] * (logits.shape[1] - len(row["labels"])) for row in rows])
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")
    places = torch.tensor([row["labels"] for row in rows])
    return sum(F.cross_entropy(logits[:, :, i], places[:, i], reduction="sum") for i in (0, 1))


def main(path, checkpoint, recipe, seed):
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    torch.manual_seed(seed)
    with open(path) as file:
        data = json.load(file)
    task, train, dev = data["task"], data["train"], data["dev"]
    w, config = load(checkpoint, seed, ("classifier" if task == "tags" else "qa_outputs", data["outputs"]))
    # The pooler takes no part.
    w = {k: v for k, v in w.items() if not k.startswith("pooler")}
    batch = recipe["batch"]
    total = recipe["epochs"] * math.ceil(len(train) / batch)
    optimizer, schedule = optimizer_and_schedule(w, recipe, total)
    start, losses = time.time(), []
    for epoch in range(recipe["epochs"]):
        order = torch.randperm(len(train)).tolist()
        for i in range(0, len(train), batch):
            rows, loss = [train[j] for j in order[i : i + batch]], 0.0
            optimizer.zero_grad(set_to_none=True)
            for part in in_parts(rows, 4, lambda row: len(row["ids"])):
                share = loss_of(task, scores(w, config, task, part, True), part) / count_of(task, rows)
                share.backward()
                loss += share.item()
            torch.nn.utils.clip_grad_norm_(list(w.values()), recipe["max_grad_norm"])
            optimizer.step()
            schedule.step()
            losses.append(loss)
        print(f"pytorch, seed {seed}: epoch {epoch + 1}, loss {sum(losses[-50:]) / len(losses[-50:]):.4f}, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    outputs = []
    with torch.no_grad():
        for i in range(0, len(dev), 32):
            rows = dev[i : i + 32]
            values = scores(w, config, task, rows, False)
            for row, each in zip(rows, values):
                real = each[: len(row["ids"])]
                outputs.append(real.argmax(1).tolist() if task == "tags" else [real[:, 0].tolist(), real[:, 1].tolist()])
    result = {"version": torch.__version__, "steps": total, "loss": sum(losses[-50:]) / len(losses[-50:]),
              "seconds": round(time.time() - start), "outputs": outputs}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
