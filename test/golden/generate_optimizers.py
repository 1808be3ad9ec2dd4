"""Makes test/golden/optimizers.json: losses and gradients' norms of ten steps under clipping, layer-wise decay of the learning rate,
google-research/bert's optimizer, frozen parameters and accumulation, over checkpoints and batches of training-heads/. Run it in this folder, after
generate_training.py, with Debian's python3-torch.

    /usr/bin/python3 generate_optimizers.py

Everything is computed in float64; PyTorch's own float32 errors stand beside it.
"""
import json
import os
import re

import torch

import bert_reference as reference
import safetensors_io
from generate import VERSIONS

STEPS = 10
BETAS, DECAY, MASK = (0.9, 0.999), 0.01, -100
# Linear with warm-up, as get_linear_schedule_with_warmup: no two steps have one rate.
RATES = [2e-3 * min(step / 3, (12 - step) / 9) for step in range(1, STEPS + 1)]
SINGLE, WORDS = "BertForSequenceClassification-single", "BertForPreTraining"
CASES = {
    "plain": [SINGLE, {}],
    "clipped": [SINGLE, {"max_grad_norm": 0.3}],
    "clipped, tied words": [WORDS, {"max_grad_norm": 0.5}],
    "layer-wise decay": [SINGLE, {"layer_lr_decay": 0.7}],
    "layer-wise decay, tied words, clipped": [WORDS, {"layer_lr_decay": 0.5, "max_grad_norm": 1.0}],
    "adamw_bert": [SINGLE, {"optim": "adamw_bert"}],
    "adamw_bert, clipped": [SINGLE, {"optim": "adamw_bert", "max_grad_norm": 0.3}],
    "adamw_bert, tied words, clipped": [WORDS, {"optim": "adamw_bert", "max_grad_norm": 1.0}],
    "frozen below the last layer": [SINGLE, {"frozen": r"^embeddings|^encoder\.layer\.0"}],
    "frozen but the head, clipped": [SINGLE, {"frozen": r"^embeddings|^encoder", "max_grad_norm": 0.3}],
    "frozen word table, tied": [WORDS, {"frozen": r"word_embeddings"}],
    "in parts": [SINGLE, {"parts": [[0, 1], [1, 4], [4, 6]]}],
    "in parts, words, clipped": [WORDS, {"parts": [[0, 2], [2, 5], [5, 6]], "max_grad_norm": 0.5}],
}


class AdamWeightDecay:
    """AdamWeightDecayOptimizer of google-research/bert, optimization.py: no bias correction, eps beside the root, decay added to the update."""

    def __init__(self, groups, eps):
        self.param_groups, self.eps, self.moments = groups, eps, {}

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m, v = self.moments.setdefault(p, (torch.zeros_like(p), torch.zeros_like(p)))
                m.mul_(BETAS[0]).add_(p.grad * (1 - BETAS[0]))
                v.mul_(BETAS[1]).add_(p.grad**2 * (1 - BETAS[1]))
                p.data -= group["lr"] * (m / (v.sqrt() + self.eps) + group["weight_decay"] * p.data)


def layer_scale(name, decay, layers):
    """Head and pooler 1, the last layer `decay`, and so on down to the embeddings."""
    layer = re.match(r"encoder\.layer\.(\d+)", name)
    return decay ** (layers - int(layer[1]) if layer else layers + 1 if name.startswith("embeddings") else 0)


def clip(parameters, most, bert):
    """torch.nn.utils.clip_grad_norm_, or tf.clip_by_global_norm: that one cuts to exactly the norm."""
    if not bert:
        return torch.nn.utils.clip_grad_norm_(parameters, most or float("inf")).item()
    norm = torch.stack([p.grad.norm() for p in parameters]).norm()
    for p in parameters:
        p.grad *= most / max(norm, most) if most else 1.0
    return norm.item()


def sums(config, head, outputs, labels):
    """Each kind of label's sum of losses."""
    if head == "BertForPreTraining":
        pairs = [(outputs["prediction_logits"], labels["labels"]), (outputs["seq_relationship_logits"], labels["next_sentence_label"])]
    else:
        pairs = [(outputs["logits"], labels["labels"])]
    return [torch.nn.functional.cross_entropy(x.flatten(0, -2), y.flatten(), ignore_index=MASK, reduction="sum") for x, y in pairs]


def train(folder, dtype, optim="adamw_torch", max_grad_norm=0.0, layer_lr_decay=1.0, frozen=None, parts=None):
    head = folder.split("-")[0]
    with open(f"training-heads/{folder}/config.json") as file:
        config = json.load(file)
    weights = safetensors_io.load(f"training-heads/{folder}/model.safetensors")
    batch = {k: v if v.is_floating_point() else v.long() for k, v in safetensors_io.load(f"training-heads/{folder}/golden.safetensors").items() if not k.startswith("grad.")}
    w = {k.removeprefix("bert."): v.to(dtype) for k, v in weights.items()}
    trained = {k: v.requires_grad_() for k, v in w.items() if not (frozen and re.search(frozen, k))}
    groups = [
        {"params": [p], "name": k, "weight_decay": 0.0 if k.endswith("bias") or "LayerNorm" in k else DECAY, "lr": 0.0} for k, p in trained.items()
    ]
    bert = optim == "adamw_bert"
    optimizer = AdamWeightDecay(groups, 1e-6) if bert else torch.optim.AdamW(groups, betas=BETAS, eps=1e-8)
    inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
    labels = {k: v for k, v in batch.items() if k not in inputs}
    counts = [int((v != MASK).sum()) for v in labels.values()]
    assert list(labels) == (["labels", "next_sentence_label"] if head == WORDS else ["labels"])
    before = {k: v.detach().clone() for k, v in w.items()}
    losses, norms = [], []
    for rate in RATES:
        for p in trained.values():
            p.grad = None
        total = 0.0
        for first, last in parts or [[0, len(inputs["input_ids"])]]:
            cut = lambda tensors: {k: v[first:last] for k, v in tensors.items()}
            outputs = reference.HEADS[head](w, config, **cut(inputs))
            loss = sum(x / n for x, n in zip(sums(config, head, outputs, cut(labels)), counts))
            loss.backward()
            total += loss.item()
        losses.append(total)
        norms.append(clip(list(trained.values()), max_grad_norm, bert))
        for group in optimizer.param_groups:
            group["lr"] = rate * layer_scale(group["name"], layer_lr_decay, config["num_hidden_layers"])
        optimizer.step()
    for k, v in w.items():
        assert (k in trained) != torch.equal(v, before[k]), k
    return losses, norms


def far(a, b):
    return max(abs(x - y) / y for x, y in zip(a, b))


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    torch.set_num_threads(1)
    cases, seen = {}, {}
    for name, (folder, options) in CASES.items():
        losses, norms = train(folder, torch.float64, **options)
        single = train(folder, torch.float32, **options)
        errors = [far(single[0], losses), far(single[1], norms)]
        # Every option shows in the losses, or the file would show nothing; parts are those of the undivided batch.
        whole = {k: v for k, v in options.items() if k != "parts"}
        if "parts" in options:
            assert far(train(folder, torch.float64, **whole)[0], losses) < 1e-12
        elif options:
            assert far(train(folder, torch.float64)[0], losses) > 1e-3, name
        cases[name] = {"folder": folder, "options": options, "losses": losses, "grad_norm": norms, "float32_relative_error": errors}
        print(f"{name:40} {losses[0]:.6f} {losses[-1]:.6f} norms {min(norms):.3f} to {max(norms):.3f} float32 {errors[0]:.1e} {errors[1]:.1e}")
    golden = {"versions": VERSIONS, "betas": BETAS, "weight_decay": DECAY, "learning_rates": RATES, "cases": cases}
    with open("optimizers.json", "w") as file:
        json.dump(golden, file, indent=1)
