"""What a logistic probe makes of SST-2: scikit-learn's LogisticRegression(C=1) on the frozen trunk's vectors of [CLS], which are what a head reads; one line of JSON.

    python3 probe.py IDS CHECKPOINT

IDS as in sst2.py. Nothing in it depends on a seed.
"""
import json
import os
import sys
import time

import torch
from sklearn import __version__
from sklearn.linear_model import LogisticRegression

from sst2 import hidden, load, padded


def vectors(w, config, examples):
    with torch.no_grad():
        parts = [padded(examples[i : i + 32])[:2] for i in range(0, len(examples), 32)]
        return torch.cat([hidden(w, config, ids, mask, False)[:, 0] for ids, mask in parts]).double().numpy()


def main(path, checkpoint):
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    with open(path) as file:
        data = json.load(file)
    w, config = load(checkpoint, 0)
    start = time.time()
    labels = {part: [label for _, label in data[part]] for part in ("train", "dev")}
    head = LogisticRegression(C=1.0, tol=1e-6, max_iter=10000).fit(vectors(w, config, data["train"]), labels["train"])
    accuracy = float((head.predict(vectors(w, config, data["dev"])) == labels["dev"]).mean())
    print(json.dumps({"version": f"torch {torch.__version__}, scikit-learn {__version__}", "accuracy": accuracy, "seconds": round(time.time() - start)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
