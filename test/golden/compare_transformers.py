"""Holds bert_reference.py against Hugging Face's own classes in float64 over the inputs of heads/*, and lists
what their save_pretrained writes. It needs torch and transformers, which nothing else here does:

    pip install torch transformers==5.18.0
    python compare_transformers.py [names.json]

With the argument the file is written too: name, dtype and shape of every tensor, by class and by what changes them.
"""
import glob
import json
import os
import sys
import tempfile

import torch
import transformers
from safetensors import safe_open

import bert_reference as reference
import safetensors_io

TINY = {
    "vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 10,
    "max_position_embeddings": 9, "type_vocab_size": 3, "num_labels": 4,
}
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds")


def build(head, config, attention="eager", **options):
    return getattr(transformers, head)(transformers.BertConfig(**config, attn_implementation=attention), **options).eval().double()


def compare(folder):
    """Largest difference of any output, for each head and attention implementation."""
    with open(f"{folder}/config.json") as file:
        base = json.load(file)
    with open(f"{folder}/golden.json") as file:
        golden = json.load(file)
    tensors = safetensors_io.load(f"{folder}/golden.safetensors")
    trunk = {k.removeprefix("bert."): v.double() for k, v in safetensors_io.load(f"{folder}/trunk.safetensors").items()}
    for head in reference.HEADS:
        own = {} if head == "BertModel" else {k: v.double() for k, v in safetensors_io.load(f"{folder}/{head}.safetensors").items()}
        config = {**base, **({"num_labels": 2} if head == "BertForQuestionAnswering" else {}), **golden["heads"].get(head, {})}
        config.get("id2label") and config.update(id2label={int(k): v for k, v in config["id2label"].items()})
        if "cls.predictions.bias" in own:
            own.setdefault("cls.predictions.decoder.bias", own["cls.predictions.bias"])
            own.setdefault("cls.predictions.decoder.weight", trunk["embeddings.word_embeddings.weight"])
        for attention in ("eager", "sdpa"):
            model = build(head, config, attention)
            prefix = "" if head == "BertModel" else "bert."
            result = model.load_state_dict({**{prefix + k: v for k, v in trunk.items()}, **own}, strict=False)
            allowed = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
            assert not result.missing_keys and set(result.unexpected_keys) <= allowed, result
            for batch in golden["batches"]:
                inputs = {k: tensors[f"{batch}.{k}"] for k in INPUTS if f"{batch}.{k}" in tensors}
                inputs = {k: v.double() if k == "inputs_embeds" else v.long() for k, v in inputs.items()}
                if head == "BertForMultipleChoice":
                    inputs = {k: v.unflatten(0, (-1, golden["choices"])) for k, v in inputs.items()}
                wants = {"output_hidden_states": True, "output_attentions": True} if attention == "eager" else {}
                with torch.no_grad():
                    theirs = model(**inputs, **wants)
                ours = reference.HEADS[head]({**trunk, **own}, config, **inputs)
                for name, value in ours.items():
                    if name not in theirs:
                        assert attention == "sdpa" and name in ("hidden_states", "attentions"), name
                        continue
                    for a, b in zip(value, theirs[name]) if isinstance(value, list) else ((value, theirs[name]),):
                        assert a.shape == b.shape, (name, a.shape, b.shape)
                        yield head, attention, (a - b).abs().max().item()


def saved(head, config, **options):
    """Name, dtype and shape of what save_pretrained writes."""
    model = build(head, config, **options).float()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safe_open(f"{folder}/model.safetensors", "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}
            return {name: [part.get_dtype(), part.get_shape()] for name, part in sorted(parts.items())}


def names():
    two = {"num_labels": 2}
    cases = [(head, two if head == "BertForQuestionAnswering" else {}, {}) for head in reference.HEADS]
    cases += [(head, {"tie_word_embeddings": False}, {}) for head in ("BertForPreTraining", "BertForMaskedLM")]
    cases += [("BertModel", {}, {"add_pooling_layer": False})]
    return {
        "transformers": transformers.__version__,
        "config": TINY,
        "saved": [{"class": c, "config": config, "options": o, "tensors": saved(c, {**TINY, **config}, **o)} for c, config, o in cases],
    }


def one_tensor_a_line(value):
    text = json.dumps(value)
    text = text.replace('"tensors": {', '"tensors": {\n')
    for start in ('"saved"', '{"class"', '"bert.', '"embeddings.', '"encoder.', '"pooler.', '"cls.', '"classifier', '"qa_outputs'):
        text = text.replace(f", {start}", f",\n{start}")
    return text + "\n"


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    transformers.utils.logging.disable_progress_bar()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, float64")
    worst = {}
    for folder in sorted(glob.glob("heads/*")):
        for head, attention, error in compare(folder):
            worst[head, attention] = max(worst.get((head, attention), 0.0), error)
    for (head, attention), error in worst.items():
        print(f"{head:32} {attention:6} {error:.1e}")
    if sys.argv[1:]:
        with open(sys.argv[1], "w") as file:
            file.write(one_tensor_a_line(names()))
