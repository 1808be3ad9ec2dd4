"""SST-2 in PyTorch with the recipe of sst2.mjs, on the ids that bertlet's tokenizer made: one seed, one line of JSON to standard output.

    python3 sst2.py IDS CHECKPOINT RECIPE SEED

IDS is a JSON file { "train": [[ids], label] ..., "dev": ... }; CHECKPOINT a folder with config.json and one safetensors file; RECIPE the
recipe as JSON. Plain PyTorch 1.13 and nothing else. The model is BertForSequenceClassification of Hugging Face transformers: the
checkpoint's trunk and pooler, a fresh classifier, dropout where that class has it. With "adapter" in the recipe that is trained, as Hugging Face PEFT
does it: a low-rank branch on the layers named, with dropout on what it reads, and the classifier whole; all else, the checkpoint's pooler too, stays as it is.
With "trainable": "head" pooler and classifier are trained.
"""
import glob
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden"))
import safetensors_io  # noqa: E402


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def norm(w, config, name, x):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"], config["layer_norm_eps"])


def adapted(w, config, name, x, training):
    y = linear(w, name, x)
    if f"{name}.lora_A.weight" not in w:
        return y
    lora = config["adapter"]
    branch = F.linear(F.dropout(x, lora["lora_dropout"], training), w[f"{name}.lora_A.weight"])
    return y + F.linear(branch, w[f"{name}.lora_B.weight"]) * (lora["lora_alpha"] / lora["r"])


def hidden(w, config, ids, mask, training, types=None):
    """The encoder's last layer, [rows, length, H]. Rows padded right; `mask` is 1 where a token is."""
    p = config["hidden_dropout_prob"]
    drop = lambda x: F.dropout(x, p, training)
    rows, length = ids.shape
    heads = config["num_attention_heads"]
    size = config["hidden_size"] // heads
    bias = (1.0 - mask[:, None, None, :]) * torch.finfo(torch.float32).min
    x = F.embedding(ids, w["embeddings.word_embeddings.weight"], padding_idx=config["pad_token_id"])
    x = x + w["embeddings.token_type_embeddings.weight"][0 if types is None else types] + w["embeddings.position_embeddings.weight"][:length]
    x = drop(norm(w, config, "embeddings", x))
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        split = lambda part: adapted(w, config, f"{layer}.attention.self.{part}", x, training).view(rows, length, heads, size).transpose(1, 2)
        scores = split("query") @ split("key").transpose(-1, -2) / math.sqrt(size) + bias
        maps = F.dropout(torch.softmax(scores, dim=-1), config["attention_probs_dropout_prob"], training)
        context = (maps @ split("value")).transpose(1, 2).reshape(rows, length, -1)
        x = norm(w, config, f"{layer}.attention.output", drop(linear(w, f"{layer}.attention.output.dense", context)) + x)
        inner = F.gelu(linear(w, f"{layer}.intermediate.dense", x))
        x = norm(w, config, f"{layer}.output", drop(linear(w, f"{layer}.output.dense", inner)) + x)
    return x


def logits(w, config, ids, mask, training):
    x, drop = hidden(w, config, ids, mask, training), lambda x: F.dropout(x, config["hidden_dropout_prob"], training)
    return linear(w, "classifier", drop(torch.tanh(linear(w, "pooler.dense", x[:, 0]))))


def padded(examples):
    length = max(len(ids) for ids, _ in examples)
    ids = torch.tensor([row + [0] * (length - len(row)) for row, _ in examples])
    mask = torch.tensor([[1.0] * len(row) + [0.0] * (length - len(row)) for row, _ in examples])
    return ids, mask, torch.tensor([label for _, label in examples])


def in_parts(rows, size, length_of):
    """A batch by length, in parts, of which less is padding; losses are divided by what the whole batch has, so the gradient is the whole batch's."""
    rows = sorted(rows, key=length_of)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def accuracy(w, config, examples, batch):
    right = 0
    with torch.no_grad():
        for i in range(0, len(examples), batch):
            ids, mask, labels = padded(examples[i : i + batch])
            right += (logits(w, config, ids, mask, False).argmax(1) == labels).sum().item()
    return right / len(examples)


def load(folder, seed, head=("classifier", 2)):
    """The checkpoint's weights, and a fresh head of some outputs, with a fresh pooler where there is none."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    w = {k: v.float() for k, v in safetensors_io.load(glob.glob(os.path.join(folder, "*.safetensors"))[0]).items() if v.is_floating_point()}
    g = torch.Generator().manual_seed(seed)
    h = config["hidden_size"]
    if "pooler.dense.weight" not in w:
        w["pooler.dense.weight"], w["pooler.dense.bias"] = torch.randn(h, h, generator=g) * config["initializer_range"], torch.zeros(h)
    name, outputs = head
    w[f"{name}.weight"], w[f"{name}.bias"] = torch.randn(outputs, h, generator=g) * config["initializer_range"], torch.zeros(outputs)
    return {k: v.clone().requires_grad_() for k, v in w.items()}, config


def trained_part(w, config, recipe, seed):
    """What of the weights is trained; the rest is frozen, and an adapter's own are added."""
    if "adapter" in recipe:
        config["adapter"], g = recipe["adapter"], torch.Generator().manual_seed(seed)
        rank, width = recipe["adapter"]["r"], config["hidden_size"]
        for i in range(config["num_hidden_layers"]):
            for module in recipe["adapter"]["target_modules"]:
                name, most = f"encoder.layer.{i}.attention.self.{module}", 1 / math.sqrt(width)
                # PEFT's: kaiming_uniform_(a=sqrt(5)) and zeros.
                w[f"{name}.lora_A.weight"] = ((torch.rand(rank, width, generator=g) * 2 - 1) * most).requires_grad_()
                w[f"{name}.lora_B.weight"] = torch.zeros(width, rank, requires_grad=True)
        trained = lambda name: ".lora_" in name or name.startswith("classifier")
    elif recipe.get("trainable") == "head":
        trained = lambda name: name.startswith(("pooler", "classifier"))
    else:
        trained = lambda name: True
    for name, weight in w.items():
        weight.requires_grad_(trained(name))
    return {name: weight for name, weight in w.items() if trained(name)}


def optimizer_and_schedule(w, recipe, total):
    warmup = math.ceil(recipe["warmup_ratio"] * total)
    plain = [k for k in w if k.endswith("bias") or "LayerNorm" in k]
    groups = [
        {"params": [v for k, v in w.items() if k not in plain], "weight_decay": recipe["weight_decay"]},
        {"params": [w[k] for k in plain], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe["learning_rate"])
    rate = lambda n: n / max(1, warmup) if n < warmup else max(0.0, (total - n) / max(1, total - warmup))
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def main(ids, checkpoint, recipe, seed):
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    torch.manual_seed(seed)
    with open(ids) as file:
        data = json.load(file)
    w, config = load(checkpoint, seed)
    batch, train = recipe["batch"], data["train"]
    total = recipe["epochs"] * math.ceil(len(train) / batch)
    own = trained_part(w, config, recipe, seed)
    optimizer, schedule = optimizer_and_schedule(own, recipe, total)
    start, epochs, losses = time.time(), [], []
    for epoch in range(recipe["epochs"]):
        order = torch.randperm(len(train)).tolist()
        for i in range(0, len(train), batch):
            rows, loss = [train[j] for j in order[i : i + batch]], 0.0
            optimizer.zero_grad(set_to_none=True)
            for part in in_parts(rows, 8, lambda row: len(row[0])):
                ids, mask, labels = padded(part)
                share = F.cross_entropy(logits(w, config, ids, mask, True), labels, reduction="sum") / len(rows)
                share.backward()
                loss += share.item()
            torch.nn.utils.clip_grad_norm_(list(own.values()), recipe["max_grad_norm"])
            optimizer.step()
            schedule.step()
            losses.append(loss)
            if len(losses) % 50 == 0:
                print(f"seed {seed}: step {len(losses)} of {total}, loss {sum(losses[-50:]) / 50:.4f}, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
        epochs.append(accuracy(w, config, data["dev"], 64))
        print(f"seed {seed}: epoch {epoch + 1}, accuracy {epochs[-1]:.4f}", file=sys.stderr, flush=True)
    result = {"version": torch.__version__, "trained": sum(weight.numel() for weight in own.values()), "steps": total, "epochs": epochs, "accuracy": epochs[-1],
              "loss": sum(losses[-100:]) / len(losses[-100:]), "seconds": round(time.time() - start)}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
