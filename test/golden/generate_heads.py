"""Makes test/golden/heads/*: every head over one trunk for each hidden_act. Run it in this folder with Debian's python3-torch.

    /usr/bin/python3 generate_heads.py

A folder has config.json and trunk.safetensors, the head's tensors in <class>.safetensors, and inputs and outputs in golden.safetensors:
`<batch>.<input>` and `<batch>.<class>.<output>`, computed in float64 and stored as float32. golden.json has PyTorch's own float32 error.
"""
import json
import os

import torch

import bert_reference as reference
import safetensors_io
from generate import VERSIONS, add_dense, add_norm, bert_weights, flat, masked, normal

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BASE = {"layer_norm_eps": 1e-12, "type_vocab_size": 2, "num_hidden_layers": 1, "max_position_embeddings": 24, "tie_word_embeddings": True}
CONFIGS = {
    "gelu": {"hidden_size": 30, "num_attention_heads": 3, "intermediate_size": 50, "num_hidden_layers": 2, "vocab_size": 53},
    "gelu_new": {"hidden_size": 13, "num_attention_heads": 1, "intermediate_size": 29, "num_hidden_layers": 2, "vocab_size": 61,
                 "layer_norm_eps": 1e-5, "tie_word_embeddings": False},
    "gelu_pytorch_tanh": {"hidden_size": 20, "num_attention_heads": 4, "intermediate_size": 37, "vocab_size": 47, "layer_norm_eps": 1e-7},
    "gelu_fast": {"hidden_size": 18, "num_attention_heads": 2, "intermediate_size": 25, "num_hidden_layers": 3, "vocab_size": 59},
    "quick_gelu": {"hidden_size": 28, "num_attention_heads": 4, "intermediate_size": 44, "vocab_size": 67, "layer_norm_eps": 1e-5},
    "relu": {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 64},
    "silu": {"hidden_size": 33, "num_attention_heads": 3, "intermediate_size": 41, "vocab_size": 71, "type_vocab_size": 3,
             "tie_word_embeddings": False},
    "swish": {"hidden_size": 17, "num_attention_heads": 17, "intermediate_size": 40, "vocab_size": 50, "layer_norm_eps": 1e-5},
    "tanh": {"hidden_size": 40, "num_attention_heads": 5, "intermediate_size": 31, "vocab_size": 45, "max_position_embeddings": 30},
}
# How files have the word scores: a decoder of its own as transformers 5 writes it (its bias beside one that is not used) and as 4 does
# (no other bias); a tied one as old files repeat it. Otherwise only cls.predictions.bias.
DECODERS = {"gelu_new": ["decoder.weight", "decoder.bias", "bias"], "silu": ["decoder.weight", "bias"], "swish": ["decoder.weight", "decoder.bias", "bias"]}
# What depends on column 0.
POOLED = {"BertModel.pooler_output", "BertForPreTraining.seq_relationship_logits"} | {
    f"BertFor{task}.logits" for task in ("NextSentencePrediction", "SequenceClassification", "MultipleChoice")
}
CHOICES = 3
LENGTHS = torch.tensor([9, 1, 6, 11, 4, 8])


def labels(names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def head_configs(i):
    """Overrides of config.json by head, another problem_type for each activation in turn."""
    problem, count = (("single_label_classification", 3), ("multi_label_classification", 5), ("regression", 1))[i % 3]
    return {
        "BertForSequenceClassification": {"problem_type": problem, **labels([f"class {n}" for n in range(count)])},
        "BertForTokenClassification": labels(LABELS[: 3 + i % 3]),
    }


def trunk_weights(config, seed):
    w = bert_weights(config, seed)
    # The word table is a decoder too: its scale makes scores of unit scale.
    w["embeddings.word_embeddings.weight"] *= 2 * config["hidden_size"] ** -0.5
    return w


def head_weights(head, config, overrides, decoder, g, trunk):
    """The tensors of a head under transformers' names, as the reference wants them. `decoder`: see DECODERS."""
    w, h, vocab = {}, config["hidden_size"], config["vocab_size"]
    if head in ("BertForPreTraining", "BertForMaskedLM"):
        add_dense(w, g, "cls.predictions.transform.dense", h, h)
        add_norm(w, g, "cls.predictions.transform", h)
        w["cls.predictions.bias"] = normal(g, (vocab,), 0.1)
        if config["tie_word_embeddings"]:
            w["cls.predictions.decoder.weight"] = trunk["embeddings.word_embeddings.weight"]
            w["cls.predictions.decoder.bias"] = w["cls.predictions.bias"]
        else:
            add_dense(w, g, "cls.predictions.decoder", vocab, h)
            if "decoder.bias" not in decoder:
                w["cls.predictions.decoder.bias"] = w["cls.predictions.bias"]
    if head in ("BertForPreTraining", "BertForNextSentencePrediction"):
        add_dense(w, g, "cls.seq_relationship", 2, h)
    if head in ("BertForSequenceClassification", "BertForTokenClassification"):
        add_dense(w, g, "classifier", len(overrides["id2label"]), h)
    if head == "BertForMultipleChoice":
        add_dense(w, g, "classifier", 1, h)
    if head == "BertForQuestionAnswering":
        add_dense(w, g, "qa_outputs", 2, h)
    return w


def in_file(name, decoder):
    """Whether a head's file has the tensor."""
    part = name.removeprefix("cls.predictions.")
    return part not in ("decoder.weight", "decoder.bias", "bias") or part in decoder


def batches(config, g):
    """Mixed lengths padded right, padded left, with gaps; positions of the caller's; vectors in place of ids."""
    b, t = len(LENGTHS), int(LENGTHS.max())
    ids = lambda: torch.randint(0, config["vocab_size"], (b, t), generator=g)
    types = lambda: torch.randint(0, config["type_vocab_size"], (b, t), generator=g)
    right = (torch.arange(t)[None] < LENGTHS[:, None]).long()
    gappy = right.clone()
    gappy[0, 3] = gappy[2, 0] = gappy[3, 5:8] = gappy[5, :2] = 0
    return {
        "right": {"input_ids": ids(), "attention_mask": right, "token_type_ids": types()},
        "left": {"input_ids": ids(), "attention_mask": right.flip(1)},
        "gappy": {"input_ids": ids(), "attention_mask": gappy, "token_type_ids": types()},
        "positions": {
            "input_ids": ids(), "attention_mask": right.roll(1, 0), "token_type_ids": types(),
            "position_ids": torch.randint(0, config["max_position_embeddings"], (b, t), generator=g),
        },
        "embeds": {"inputs_embeds": normal(g, (b, t, config["hidden_size"]), 0.5), "attention_mask": gappy, "token_type_ids": types()},
    }


def to_front(inputs):
    """The same sequences, each turned until its first real token stands in column 0; positions stay those it had."""
    b, t = inputs["attention_mask"].shape
    first = inputs["attention_mask"].argmax(1)
    columns = (torch.arange(t) + first[:, None]) % t
    rows = torch.arange(b)[:, None]
    return {name: value[rows, columns] for name, value in {"position_ids": torch.arange(t).expand(b, t), **inputs}.items()}


def run(head, weights, config, inputs, dtype):
    w = {name: value.to(dtype) for name, value in weights.items()}
    if head == "BertForMultipleChoice":
        inputs = {name: value.unflatten(0, (-1, CHOICES)) for name, value in inputs.items()}
    inputs = {name: value.to(dtype) if name == "inputs_embeds" else value for name, value in inputs.items()}
    return {f"{head}.{name}": value for name, value in flat(reference.HEADS[head](w, config, **inputs))}


def expected(head, weights, config, inputs, dtype):
    """What bertlet must give: zeros at masked positions, and the pooler's token is the first that is not masked."""
    plain = run(head, weights, config, inputs, dtype)
    front = run(head, weights, config, to_front(inputs), dtype)
    mask = inputs["attention_mask"]
    return {key: front[key] if key in POOLED else masked(key.split(".", 1)[1], value, mask) for key, value in plain.items()}, plain


def golden_heads(i, activation):
    config = {"hidden_act": activation, **BASE, **CONFIGS[activation]}
    folder = os.path.join("heads", activation)
    os.makedirs(folder, exist_ok=True)
    trunk = trunk_weights(config, 100 + i)
    g = torch.Generator().manual_seed(200 + i)
    inputs_of = batches(config, g)
    overrides = head_configs(i)
    decoder = DECODERS.get(activation, ["bias"])
    tensors, errors = {}, {}
    for batch, inputs in inputs_of.items():
        tensors.update({f"{batch}.{name}": value if name == "inputs_embeds" else value.int() for name, value in inputs.items()})
    for head in reference.HEADS:
        own = head_weights(head, config, overrides.get(head), decoder, g, trunk)
        if own:
            safetensors_io.save(os.path.join(folder, f"{head}.safetensors"), {k: v for k, v in own.items() if in_file(k, decoder)})
        for batch, inputs in inputs_of.items():
            double, plain = expected(head, {**trunk, **own}, config, inputs, torch.float64)
            single, _ = expected(head, {**trunk, **own}, config, inputs, torch.float32)
            for key, value in double.items():
                # Maps and hidden states once: they are large, and the other batches end in the same outputs.
                if key.startswith(("BertModel.attentions", "BertModel.hidden_states")) and batch != "gappy":
                    continue
                tensors[f"{batch}.{key}"] = value.float()
                errors[f"{batch}.{key}"] = (single[key].double() - value).abs().max().item()
                if key in POOLED and not inputs["attention_mask"][:, 0].all():
                    tensors[f"{batch}.{key}.column_0"] = plain[key].float()
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump({"model_type": "bert", **config}, file, indent=1)
    safetensors_io.save(os.path.join(folder, "trunk.safetensors"), {f"bert.{k}": v for k, v in trunk.items()})
    safetensors_io.save(os.path.join(folder, "golden.safetensors"), tensors)
    with open(os.path.join(folder, "golden.json"), "w") as file:
        json.dump({"versions": VERSIONS, "batches": list(inputs_of), "choices": CHOICES, "heads": overrides, "float32_error": errors}, file, indent=1)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for i, activation in enumerate(CONFIGS):
        golden_heads(i, activation)
