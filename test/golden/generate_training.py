"""Makes test/golden/training-heads/*: for every head the gradients of one step and the losses of ten. Run it in this folder with
Debian's python3-torch.

    /usr/bin/python3 generate_training.py

A folder is a checkpoint (config.json, model.safetensors) with golden.safetensors, one batch with its labels and `grad.<name>` of every
parameter, computed in float64 and stored as float32; and golden.json with the losses, PyTorch's own float32 errors, and as `zero` the
tensors whose true gradient is zero.
"""
import json
import os
import re

import torch

import bert_reference as reference
import safetensors_io
from generate import ADAMW, VERSIONS, adamw_steps, normal, relative_errors
from generate_heads import CHOICES, LABELS, LENGTHS, POOLED, head_weights, in_file, labels, to_front, trunk_weights

STEPS = 10
BASE = {
    "vocab_size": 41, "hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37, "hidden_act": "gelu",
    "max_position_embeddings": 13, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "tie_word_embeddings": True,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}
NARROW = {"hidden_size": 20, "num_attention_heads": 5}
UNTIED = {"tie_word_embeddings": False, "layer_norm_eps": 1e-7}


def problem(problem_type, count):
    return {"problem_type": problem_type, **labels(LABELS[:count])}


# Folder: what it has of its own in config.json. What stands behind `-` tells folders of one class apart.
CASES = {
    "BertForMaskedLM": {},
    "BertForMaskedLM-untied": {**UNTIED, **NARROW, "hidden_act": "relu"},
    "BertForPreTraining": {"hidden_act": "gelu_new"},
    "BertForNextSentencePrediction": {**NARROW, "hidden_act": "silu"},
    "BertForSequenceClassification-single": problem("single_label_classification", 5),
    "BertForSequenceClassification-multi": {"hidden_act": "tanh", **problem("multi_label_classification", 3)},
    "BertForSequenceClassification-regression": {**NARROW, "hidden_act": "quick_gelu", **problem("regression", 1)},
    "BertForMultipleChoice": {"hidden_act": "relu"},
    "BertForTokenClassification": {**NARROW, "hidden_act": "gelu_new", **labels(LABELS)},
    "BertForQuestionAnswering": {"hidden_act": "silu"},
    "BertForQuestionAnswering-mixed": {**NARROW, "hidden_act": "gelu"},
}
GAPPY = ("BertForMaskedLM-untied", "BertForSequenceClassification-multi", "BertForQuestionAnswering-mixed")
# Tensors whose true gradient is zero. Each bias moves all scores of a softmax alike: a row's attention, or an answer's places.
ZERO = {"BertForMultipleChoice": r"|^classifier\.bias", "BertForQuestionAnswering": r"|^qa_outputs\.bias|^encoder\.layer\.1\.output\.LayerNorm\.bias"}


def make_batch(case, config, g):
    """Mixed lengths padded right, some with gaps; answers are sought in rows of one length too, which transformers needs: it weighs padding."""
    lengths = torch.full((5,), 9) if case == "BertForQuestionAnswering" else LENGTHS
    shape = (len(lengths), int(lengths.max()))
    mask = (torch.arange(shape[1])[None] < lengths[:, None]).long()
    if case in GAPPY:
        mask[0, 3] = mask[2, 0] = mask[3, 5:8] = mask[5, :2] = 0
    return {
        # Not pad_token_id, whose row of the word table learns nothing from lookups in transformers (L58: padding_idx).
        "input_ids": torch.randint(1, config["vocab_size"], shape, generator=g),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, shape, generator=g),
    }


def make_labels(head, config, mask, g):
    rows = len(mask)
    draw = lambda limit, *shape: torch.randint(0, limit, shape or (rows,), generator=g)
    some = lambda limit, share: torch.where((torch.rand(mask.shape, generator=g) < share) & (mask == 1), draw(limit, *mask.shape), torch.tensor(-100))
    count = len(config.get("id2label", ()))
    if head == "BertForPreTraining":
        return {"labels": some(config["vocab_size"], 0.3), "next_sentence_label": draw(2)}
    if head == "BertForMaskedLM":
        return {"labels": some(config["vocab_size"], 0.3)}
    if head == "BertForTokenClassification":
        return {"labels": some(count, 0.8)}
    if head == "BertForMultipleChoice":
        return {"labels": draw(CHOICES, rows // CHOICES)}
    if head == "BertForQuestionAnswering":
        columns = mask.shape[1]
        starts, ends = draw(columns), draw(columns)
        starts[2] = 40
        if mask.min() == 0:  # of the tokens, but for two beyond the rectangle
            starts, ends = ((mask * torch.rand(mask.shape, generator=g)).argmax(1) for _ in range(2))
            starts[4] = ends[5] = 40
        return {"start_positions": starts, "end_positions": ends}
    if head == "BertForNextSentencePrediction":
        values = draw(2)
        values[1] = -100
        return {"labels": values}
    kind = config["problem_type"]
    if kind == "regression":
        return {"labels": normal(g, (rows, count))}
    return {"labels": draw(2, rows, count).float() if kind == "multi_label_classification" else draw(count)}


def golden_training(seed, case):
    head = case.split("-")[0]
    config = {**BASE, **CASES[case]}
    pooled = any(key.startswith(f"{head}.") for key in POOLED)
    g = torch.Generator().manual_seed(400 + seed)
    trunk = {k: v for k, v in trunk_weights(config, 300 + seed).items() if pooled or not k.startswith("pooler.")}
    decoder = ["bias"] if config["tie_word_embeddings"] else ["decoder.weight", "decoder.bias", "bias"]
    own = {k: v for k, v in head_weights(head, config, config, decoder, g, trunk).items() if in_file(k, decoder)}
    inputs = make_batch(case, config, g)
    wanted = make_labels(head, config, inputs["attention_mask"], g)
    shown = {k: v.unflatten(0, (-1, CHOICES)) for k, v in inputs.items()} if head == "BertForMultipleChoice" else inputs
    # bertlet pools the first token that is not masked; elsewhere turning a row changes nothing that counts.
    fed = to_front(inputs) if pooled and case in GAPPY else shown

    def forward(w):
        outputs = reference.HEADS[head](w, config, **fed)
        if case == "BertForQuestionAnswering-mixed":  # as bertlet seeks answers: among a row's tokens alone
            outputs = {name: scores.masked_fill(inputs["attention_mask"] == 0, -torch.inf) for name, scores in outputs.items()}
        return {}, reference.loss(head, config, outputs, wanted)

    double, losses = adamw_steps({**trunk, **own}, forward, STEPS, torch.float64)
    single, single_losses = adamw_steps({**trunk, **own}, forward, STEPS, torch.float32)
    gradients = {k.removeprefix("grad."): v for k, v in double.items() if k.startswith("grad.")}
    largest = max(v.norm().item() for v in gradients.values())
    zero = [k for k in gradients if re.search(r"key\.bias$" + ZERO.get(head, ""), k)]
    for name, value in gradients.items():
        assert (value.norm() < 1e-12 * largest) == (name in zero), name

    file_name = lambda name: f"bert.{name}" if name in trunk else name
    folder = os.path.join("training-heads", case)
    os.makedirs(folder, exist_ok=True)
    safetensors_io.save(os.path.join(folder, "model.safetensors"), {file_name(k): v for k, v in {**trunk, **own}.items()})
    tensors = {k: v if v.is_floating_point() else v.int() for k, v in {**shown, **wanted}.items()}
    tensors.update({f"grad.{file_name(k)}": v.float() for k, v in gradients.items()})
    safetensors_io.save(os.path.join(folder, "golden.safetensors"), tensors)
    errors = {file_name(k.removeprefix("grad.")): v for k, v in relative_errors(single, double).items() if k.startswith("grad.")}
    golden = {
        "versions": VERSIONS, "adamw": ADAMW, "losses": losses, "zero": [file_name(k) for k in zero],
        "float32_loss_relative_error": [abs(a - b) / b for a, b in zip(single_losses, losses)],
        "float32_relative_error": {k: v for k, v in errors.items() if k not in map(file_name, zero)},
    }
    for name, value in (("config", {"architectures": [head], "model_type": "bert", **config}), ("golden", golden)):
        with open(os.path.join(folder, f"{name}.json"), "w") as file:
            json.dump(value, file, indent=1)
    print(f"{case:42} {losses[0]:.6f} {losses[-1]:.6f} gradients {max(golden['float32_relative_error'].values()):.1e} losses {max(golden['float32_loss_relative_error']):.1e}")


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for seed, case in enumerate(CASES):
        golden_training(seed, case)
