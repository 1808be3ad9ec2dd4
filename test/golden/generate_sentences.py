"""Makes test/golden/sentences: for every loss on sentence embeddings the gradients of one step and the losses of ten. Run it in this folder with
Debian's python3-torch.

    /usr/bin/python3 generate_sentences.py

The losses follow sentence-transformers 6.0.0 line by line (files of sentence_transformers/sentence_transformer/losses at the tag v6.0.0, and
sentence_transformers/util/similarity.py as U); it is not installed: PyTorch alone computes them. The folder is one checkpoint of two layers with dropout off,
and golden.safetensors with the texts of one batch, [examples, texts, L], and `<case>.grad.<name>` of every parameter that learns, in float64 stored as float32.
golden.json has for each case the loss's settings, how it pools, the losses of ten AdamW steps, and as `zero` the tensors whose true gradient is zero.
"""
import json
import os

import torch
import torch.nn.functional as F

import bert_reference as reference
import safetensors_io
from generate import ADAMW, VERSIONS, adamw_steps, bert_weights, relative_errors

STEPS, EXAMPLES = 10, 6
CONFIG = {
    "vocab_size": 41, "hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 37, "hidden_act": "gelu",
    "max_position_embeddings": 13, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "tie_word_embeddings": True,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}
MNRL = "MultipleNegativesRankingLoss"
# Columns that take part, settings of the loss, how the model pools.
CASES = {
    "pairs": (2, {"name": MNRL}, {}),
    "symmetric": (2, {"name": MNRL, "scale": 10, "symmetric": True}, {"normalize": True}),
    "hard-negatives": (3, {"name": MNRL}, {}),
    "two-hard-negatives": (4, {"name": MNRL, "scale": 1, "similarity_fct": "dot_score"}, {"normalize": True}),
    "cosent": (2, {"name": "CoSENTLoss"}, {}),
    "cosine": (2, {"name": "CosineSimilarityLoss"}, {"pooling": "cls"}),
    "euclidean": (3, {"name": "TripletLoss", "triplet_margin": 3}, {}),
    "manhattan": (3, {"name": "TripletLoss", "distance_metric": "manhattan"}, {"normalize": True}),
    "cosine-triplet": (3, {"name": "TripletLoss", "distance_metric": "cosine", "triplet_margin": 0.5}, {"pooling": "cls"}),
}


def cos_sim(a, b):
    """U59-75."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def pairwise_cos_sim(a, b):
    """U78-98."""
    return (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1)


def multiple_negatives(embeddings, _, scale=20.0, similarity_fct="cos_sim", symmetric=False):
    """multiple_negatives_ranking.py, L237-337: query_to_doc; with doc_to_query and partition_mode per_direction for `symmetric`."""
    similarity = cos_sim if similarity_fct == "cos_sim" else lambda a, b: a @ b.T
    queries, docs = embeddings[0], embeddings[1:]
    matrices = [similarity(queries, torch.cat(docs)) * scale]
    if symmetric:
        matrices.append((similarity(queries, docs[0]) * scale).T)
    log_z = sum(torch.logsumexp(m, dim=1) for m in matrices) / len(matrices)
    return -(matrices[0].diagonal() - log_z).mean()


def cosent(embeddings, labels, scale=20.0):
    """cosent.py, L99-112."""
    scores = pairwise_cos_sim(embeddings[0], embeddings[1]) * scale
    scores = scores[:, None] - scores[None, :]
    scores = scores - (1 - (labels[:, None] < labels[None, :]).to(scores.dtype)) * 1e12
    return torch.logsumexp(torch.cat((torch.zeros(1, dtype=scores.dtype), scores.view(-1))), dim=0)


def cosine_similarity(embeddings, labels):
    """cosine_similarity.py, L84-96, with nn.MSELoss."""
    return F.mse_loss(pairwise_cos_sim(embeddings[0], embeddings[1]), labels.to(embeddings[0].dtype))


def triplet(embeddings, _, distance_metric="euclidean", triplet_margin=5):
    """triplet.py, L18-20 and L88-103, with U163-178 and U213-228."""
    distance = {
        "euclidean": lambda a, b: torch.sqrt(torch.sum((a - b) ** 2, dim=-1)),
        "manhattan": lambda a, b: torch.sum(torch.abs(a - b), dim=-1),
        "cosine": lambda a, b: 1 - pairwise_cos_sim(a, b),
    }[distance_metric]
    anchor, positive, negative = embeddings
    return F.relu(distance(anchor, positive) - distance(anchor, negative) + triplet_margin).mean()


LOSSES = {MNRL: multiple_negatives, "CoSENTLoss": cosent, "CosineSimilarityLoss": cosine_similarity, "TripletLoss": triplet}


def embed(w, ids, mask, pooling="mean", normalize=False):
    """Transformer, Pooling and Normalize of sentence-transformers."""
    x = reference.bert(w, CONFIG, ids, mask, add_pooling_layer=False)["last_hidden_state"]
    m = mask[..., None].to(x.dtype)
    pooled = x[:, 0] if pooling == "cls" else (x * m).sum(1) / m.sum(1)
    return F.normalize(pooled, dim=-1) if normalize else pooled


def main():
    g = torch.Generator().manual_seed(808)
    weights = {k: v for k, v in bert_weights(CONFIG, 809).items() if not k.startswith("pooler.")}
    shape = (EXAMPLES, 4, 9)
    lengths = torch.randint(1, 10, shape[:2], generator=g)
    mask = (torch.arange(shape[2]) < lengths[..., None]).long()
    ids = torch.randint(1, CONFIG["vocab_size"], shape, generator=g)
    labels = torch.tensor([0.9, 0.1, 0.5, 0.5, 1.0, 0.0])
    tensors, cases = {"input_ids": ids.int(), "attention_mask": mask.int(), "labels": labels}, {}
    for case, (columns, loss, model) in CASES.items():
        settings = {k: v for k, v in loss.items() if k != "name"}

        def forward(w):
            embeddings = [embed(w, ids[:, c], mask[:, c], **model) for c in range(columns)]
            return {}, LOSSES[loss["name"]](embeddings, labels, **settings)

        double, losses = adamw_steps(weights, forward, STEPS, torch.float64)
        single, single_losses = adamw_steps(weights, forward, STEPS, torch.float32)
        gradients = {k.removeprefix("grad."): v for k, v in double.items() if k.startswith("grad.")}
        largest = max(v.norm().item() for v in gradients.values())
        zero = [k for k, v in gradients.items() if v.norm() < 1e-12 * largest]
        assert all(k.endswith("key.bias") or "token_type" in k or k == "encoder.layer.1.output.LayerNorm.bias" for k in zero), zero
        assert min(losses) > 0, losses
        tensors.update({f"{case}.grad.{k}": v.float() for k, v in gradients.items()})
        errors = {k.removeprefix("grad."): v for k, v in relative_errors(single, double).items() if k.startswith("grad.")}
        cases[case] = {
            "columns": columns, "loss": loss, "model": model, "losses": losses, "zero": zero,
            "float32_relative_error": max(v for k, v in errors.items() if k not in zero),
            "float32_loss_relative_error": max(abs(a - b) / b for a, b in zip(single_losses, losses)),
        }
        print(f"{case:20} {losses[0]:.6f} {losses[-1]:.6f} gradients {cases[case]['float32_relative_error']:.1e} losses {cases[case]['float32_loss_relative_error']:.1e} zero {len(zero)}")
    os.makedirs("sentences", exist_ok=True)
    safetensors_io.save(os.path.join("sentences", "model.safetensors"), weights)
    safetensors_io.save(os.path.join("sentences", "golden.safetensors"), tensors)
    for name, value in (("config", {"architectures": ["BertModel"], "model_type": "bert", **CONFIG}), ("golden", {"versions": {**VERSIONS, "sentence_transformers": "6.0.0"}, "adamw": ADAMW, "cases": cases})):
        with open(os.path.join("sentences", f"{name}.json"), "w") as file:
            json.dump(value, file, indent=1)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    main()
