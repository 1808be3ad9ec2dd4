"""PyTorch's side of the training bench: the same commands as bertlet.mjs, one JSON object a line, with the model of ../results/sst2.py.

    TORCH_THREADS=2 python3 pytorch.py CHECKPOINT RECIPE

CHECKPOINT is a folder that bertlet's savePretrained wrote, so both start from the same bits. Settings of BLAS are the environment's.
"""
import glob
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../results"))
from sst2 import logits, padded, safetensors_io  # noqa: E402


class Side:
    def __init__(self, folder, recipe):
        with open(os.path.join(folder, "config.json")) as file:
            self.config = json.load(file)
        self.saved = safetensors_io.load(glob.glob(os.path.join(folder, "*.safetensors"))[0])
        self.recipe = recipe
        self.start("full")

    def start(self, what):
        """Fresh weights and optimizer. A trunk that is not trained needs no gradient."""
        self.what = what
        trained = lambda name: what == "full" or name.startswith("classifier")
        names = {k: v for k, v in self.saved.items() if v.is_floating_point()}
        self.w = {k[5:] if k.startswith("bert.") else k: v.float().clone() for k, v in names.items()}
        for name, tensor in self.w.items():
            tensor.requires_grad_(trained(name))
        plain = lambda name: name.endswith("bias") or "LayerNorm" in name
        mine = {k: v for k, v in self.w.items() if v.requires_grad}
        self.parameters = list(mine.values())
        groups = [
            {"params": [v for k, v in mine.items() if not plain(k)], "weight_decay": self.recipe["weight_decay"]},
            {"params": [v for k, v in mine.items() if plain(k)], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.recipe["learning_rate"])

    def step(self, examples, dropout):
        ids, mask, labels = padded(examples)
        loss = F.cross_entropy(logits(self.w, self.config, ids, mask, dropout), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe["max_grad_norm"])
        self.optimizer.step()
        return loss.item()

    def forward(self, examples):
        ids, mask, _ = padded(examples)
        with torch.no_grad():
            return logits(self.w, self.config, ids, mask, False).sum().item()

    def losses(self, examples, count):
        self.start("full")
        return [self.step(examples, False) for _ in range(count)]

    def run(self, what, batches):
        """Milliseconds of each batch."""
        kind = "head" if what == "head" else "full"
        if self.what != kind:
            self.start(kind)
        times = []
        for examples in batches:
            begin = time.perf_counter()
            self.forward(examples) if what == "forward" else self.step(examples, True)
            times.append(1000 * (time.perf_counter() - begin))
        return times


def main(folder, recipe):
    torch.set_num_threads(int(os.environ["TORCH_THREADS"]))
    torch.manual_seed(0)
    side = Side(folder, recipe)
    print(json.dumps({"runs": f"PyTorch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "losses":
            print(json.dumps(side.losses(command["examples"], command["count"])), flush=True)
        else:
            print(json.dumps(side.run(command["do"], command["batches"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
