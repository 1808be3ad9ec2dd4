"""Makes test/golden/bert/* and test/golden/training: run it in this folder with Debian's python3-torch.

    /usr/bin/python3 generate.py

Reference values are computed in float64 and stored as float32; beside each stands PyTorch's own float32 error against them.
"""
import json
import os
import platform

import torch
import torch.nn.functional as F

import bert_reference as reference
import safetensors_io

torch.set_num_threads(1)
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}
VERSIONS = {"torch": torch.__version__, "python": platform.python_version(), "transformers": "5.18.0"}
BASE = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "type_vocab_size": 2, "num_hidden_layers": 2, "vocab_size": 61, "max_position_embeddings": 40}
CONFIGS = {
    "tiny": {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 100},
    "odd": {"hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 50, "hidden_act": "gelu_new"},
    "onehead": {"hidden_size": 13, "num_attention_heads": 1, "intermediate_size": 29, "hidden_act": "silu"},
    "wide": {"hidden_size": 256, "num_attention_heads": 2, "intermediate_size": 260, "num_hidden_layers": 1, "hidden_act": "relu"},
    "long": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 36, "num_hidden_layers": 1, "max_position_embeddings": 512},
    "quick": {"hidden_size": 20, "num_attention_heads": 5, "intermediate_size": 28, "num_hidden_layers": 1, "hidden_act": "quick_gelu"},
    "tanh": {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 31, "num_hidden_layers": 1, "hidden_act": "tanh"},
}


def normal(generator, shape, scale=1.0, mean=0.0):
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale + mean).float()


def add_dense(w, g, name, n, k):
    w[f"{name}.weight"] = normal(g, (n, k), k**-0.5)
    w[f"{name}.bias"] = normal(g, (n,), 0.1)


def add_norm(w, g, name, h):
    w[f"{name}.LayerNorm.weight"] = normal(g, (h,), 0.2, 1.0)
    w[f"{name}.LayerNorm.bias"] = normal(g, (h,), 0.2)


def add_layer(w, g, name, h, wide):
    for part in ("query", "key", "value"):
        add_dense(w, g, f"{name}.attention.self.{part}", h, h)
    add_dense(w, g, f"{name}.attention.output.dense", h, h)
    add_norm(w, g, f"{name}.attention.output", h)
    add_dense(w, g, f"{name}.intermediate.dense", wide, h)
    add_dense(w, g, f"{name}.output.dense", h, wide)
    add_norm(w, g, f"{name}.output", h)


def add_tables(w, g, config, h):
    for name, rows in (("word", config["vocab_size"]), ("position", config["max_position_embeddings"]), ("token_type", config["type_vocab_size"])):
        w[f"embeddings.{name}_embeddings.weight"] = normal(g, (rows, h), 0.5)


def bert_weights(config, seed):
    g = torch.Generator().manual_seed(seed)
    w = {}
    h = config["hidden_size"]
    add_tables(w, g, config, h)
    add_norm(w, g, "embeddings", h)
    for i in range(config["num_hidden_layers"]):
        add_layer(w, g, f"encoder.layer.{i}", h, config["intermediate_size"])
    add_dense(w, g, "pooler.dense", h, h)
    return w


def batches(config, name):
    """Mixed lengths padded right, padded left, and with gaps; a single token; for `long` the full length."""
    g = torch.Generator().manual_seed(99)
    ids = lambda *shape: torch.randint(0, config["vocab_size"], shape, generator=g)
    types = lambda *shape: torch.randint(0, 2, shape, generator=g)
    if name == "long":
        return {"full": (ids(1, 512), torch.ones(1, 512, dtype=torch.long), types(1, 512)), "single": (ids(1, 1), torch.ones(1, 1, dtype=torch.long), types(1, 1))}
    lengths = torch.tensor([17, 1, 9, 24, 8])
    column = torch.arange(24)
    right = (column[None] < lengths[:, None]).long()
    gappy = right.clone()
    gappy[0, 3] = gappy[2, 0] = gappy[3, 5:9] = 0
    return {
        "right": (ids(5, 24), right, types(5, 24)),
        "left": (ids(5, 24), right.flip(1), types(5, 24)),
        "gappy": (ids(5, 24), gappy, types(5, 24)),
    }


def flat(outputs):
    for name, value in outputs.items():
        if isinstance(value, list):
            for i, tensor in enumerate(value):
                yield f"{name}.{i}", tensor
        else:
            yield name, value


def masked(name, tensor, mask):
    """Zeros where bertlet gives zeros: at masked queries and keys."""
    m = mask.to(tensor.dtype)
    if name.startswith("attentions"):
        return tensor * m[:, None, :, None] * m[:, None, None, :]
    if name == "pooler_output":
        return tensor * m[:, :1]  # where column 0 is masked the reference pools a masked position: not compared
    return tensor * m.view(*m.shape, *[1] * (tensor.dim() - 2))


def golden_bert(name, seed, dtype=torch.float32, prefix="", folder=None):
    config = {**BASE, **CONFIGS[name]}
    weights = {k: v.to(dtype) for k, v in bert_weights(config, seed).items()}
    only = folder is not None
    folder = os.path.join("bert", folder or name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"architectures": ["BertModel"], "model_type": "bert", **config}, file, indent=1)
    safetensors_io.save(os.path.join(folder, "model.safetensors"), {prefix + k: v for k, v in weights.items()})
    tensors, errors = {}, {}
    chosen = {k: v for k, v in batches(config, name).items() if k == "right" or not (only or name == "wide")}
    for batch, (ids, mask, types) in chosen.items():
        single = dict(flat(reference.bert({k: v.float() for k, v in weights.items()}, config, ids, mask, types)))
        double = dict(flat(reference.bert({k: v.double() for k, v in weights.items()}, config, ids, mask, types)))
        for key, value in (("input_ids", ids), ("attention_mask", mask), ("token_type_ids", types)):
            tensors[f"{batch}.{key}"] = value.int()
        for key, value in double.items():
            # Maps and hidden states once: they are large, and the other batches end in the same outputs.
            if key.startswith(("attentions", "hidden_states")) and (batch != "gappy" or name == "wide"):
                continue
            value = masked(key, value, mask)
            errors[f"{batch}.{key}"] = (masked(key, single[key], mask).double() - value).abs().max().item()
            tensors[f"{batch}.{key}"] = value.float()
    safetensors_io.save(os.path.join(folder, "golden.safetensors"), tensors)
    with open(os.path.join(folder, "golden.json"), "w") as file:
        json.dump({"versions": VERSIONS, "batches": list(chosen), "float32_error": errors}, file, indent=1)


def relative_errors(single, double):
    return {k: (single[k].double() - v).norm().item() / max(v.norm().item(), 1e-30) for k, v in double.items()}


def adamw_steps(initial, forward, steps, dtype):
    """Steps of AdamW without decay on biases and LayerNorm. `forward` gives what is to be kept of the first step, and the loss. Returns that
    with the first step's gradients and the final weights, and the losses; what the loss does not depend on has neither."""
    w = {k: v.to(dtype).clone().requires_grad_() for k, v in initial.items()}
    plain = [k for k in w if k.endswith("bias") or "LayerNorm" in k]
    optimizer = torch.optim.AdamW(
        [{"params": [w[k] for k in w if k not in plain], "weight_decay": ADAMW["weight_decay"]}, {"params": [w[k] for k in plain], "weight_decay": 0.0}],
        lr=ADAMW["lr"], betas=ADAMW["betas"], eps=ADAMW["eps"],
    )
    losses, out = [], {}
    for step in range(steps):
        optimizer.zero_grad()
        kept, loss = forward(w)
        loss.backward()
        if step == 0:
            out.update({k: v.detach().clone() for k, v in kept.items()})
            out.update({f"grad.{k}": v.grad.clone() for k, v in w.items() if v.grad is not None})
        losses.append(loss.item())
        optimizer.step()
    out.update({f"final.{k}": v.detach() for k, v in w.items() if v.grad is not None})
    return out, losses


def golden_training():
    config = {
        "vocab_size": 37, "embedding_size": 20, "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_labels": 11,
        "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    }
    g = torch.Generator().manual_seed(7)
    initial = {}
    h = config["hidden_size"]
    add_tables(initial, g, config, config["embedding_size"])
    add_dense(initial, g, "projection", h, config["embedding_size"])
    initial["LayerNorm.weight"] = normal(g, (h,), 0.2, 1.0)
    initial["LayerNorm.bias"] = normal(g, (h,), 0.2)
    add_layer(initial, g, "layer", h, config["intermediate_size"])
    add_dense(initial, g, "classifier", config["num_labels"], h)
    sequences = []
    for length in (7, 12, 1):
        labels = torch.randint(0, config["num_labels"], (length,), generator=g)
        if length > 1:
            labels[torch.randperm(length, generator=g)[:2]] = -100
        sequences.append({
            "input_ids": torch.randint(0, config["vocab_size"], (length,), generator=g).tolist(),
            "token_type_ids": torch.randint(0, 2, (length,), generator=g).tolist(),
            "labels": labels.tolist(),
        })

    def forward(w):
        logits = []
        for s in sequences:
            ids, types = torch.tensor([s["input_ids"]]), torch.tensor([s["token_type_ids"]])
            x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types]
            x = x + w["embeddings.position_embeddings.weight"][torch.arange(ids.shape[1])]
            x = F.gelu(reference.linear(w, "projection", x))
            x = F.layer_norm(x, (h,), w["LayerNorm.weight"], w["LayerNorm.bias"], config["layer_norm_eps"])
            x, _ = reference.layer(w, config, "layer", x, 0.0)
            logits.append(reference.linear(w, "classifier", x)[0])
        logits = torch.cat(logits)
        labels = torch.tensor([label for s in sequences for label in s["labels"]])
        return {"logits": logits}, F.cross_entropy(logits, labels, ignore_index=-100)

    double, losses = adamw_steps(initial, forward, 5, torch.float64)
    single, _ = adamw_steps(initial, forward, 5, torch.float32)
    os.makedirs("training", exist_ok=True)
    tensors = {f"initial.{k}": v for k, v in initial.items()}
    tensors.update({k: v.float() for k, v in double.items()})
    safetensors_io.save("training/golden.safetensors", tensors)
    errors = relative_errors(single, double)
    with open("training/golden.json", "w") as file:
        json.dump({"versions": VERSIONS, "config": config, "adamw": ADAMW, "sequences": sequences, "losses": losses, "float32_relative_error": errors}, file, indent=1)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for seed, name in enumerate(CONFIGS):
        golden_bert(name, seed + 1, dtype=torch.float16 if name == "wide" else torch.float32)
    golden_bert("tiny", 1, prefix="bert.", folder="tiny-prefixed")
    golden_bert("tiny", 1, dtype=torch.float16, folder="tiny-f16")
    golden_bert("tiny", 1, dtype=torch.bfloat16, folder="tiny-bf16")
    golden_training()
