"""BERT in plain PyTorch functions. Each names the lines of Hugging Face transformers that it follows: L... are lines of
src/transformers/models/bert/modeling_bert.py at commit 347001237a8ff845fc23f678107fc505361f9f13 (4.32.0.dev0).

Weights come in a dict under transformers' names (without the `bert.` prefix); every function works in the dtype of its input,
so the same code gives float32 and float64.
"""
import math

import torch
import torch.nn.functional as F


def gelu_new(x):
    # NewGELUActivation in activations.py
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


ACT = {
    "gelu": F.gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "gelu_fast": lambda x: 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x))),
    "quick_gelu": quick_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def layer_norm(w, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"], eps)


def embeddings(w, config, input_ids, token_type_ids, position_ids):
    """BertEmbeddings.forward, L202-241: word + type, then + position, then LayerNorm."""
    x = w["embeddings.word_embeddings.weight"][input_ids] + w["embeddings.token_type_embeddings.weight"][token_type_ids]
    x = x + w["embeddings.position_embeddings.weight"][position_ids]
    return layer_norm(w, "embeddings", x, config["layer_norm_eps"])


def attention(w, config, name, x, bias):
    """BertSelfAttention.forward, L276-375 (transpose_for_scores is split): softmax(q k^T / sqrt(d) + bias) v. Returns output and maps."""
    b, t, h = x.shape
    heads = config["num_attention_heads"]
    d = h // heads

    def split(part):
        return linear(w, f"{name}.self.{part}", x).view(b, t, heads, d).transpose(1, 2)

    scores = split("query") @ split("key").transpose(-1, -2) / math.sqrt(d) + bias
    maps = torch.softmax(scores, dim=-1)
    return (maps @ split("value")).transpose(1, 2).reshape(b, t, h), maps


def layer(w, config, name, x, bias):
    """BertLayer.forward, L485-553: BertAttention with BertSelfOutput (L385-389), BertIntermediate (L450-453), BertOutput (L463-467)."""
    eps = config["layer_norm_eps"]
    context, maps = attention(w, config, f"{name}.attention", x, bias)
    x = layer_norm(w, f"{name}.attention.output", linear(w, f"{name}.attention.output.dense", context) + x, eps)
    inner = ACT[config["hidden_act"]](linear(w, f"{name}.intermediate.dense", x))
    return layer_norm(w, f"{name}.output", linear(w, f"{name}.output.dense", inner) + x, eps), maps


def bert(w, config, input_ids, attention_mask, token_type_ids):
    """BertModel.forward, L919-1047. attention_mask [B, T] becomes 0 where a key counts and the dtype's minimum where not."""
    b, t = input_ids.shape
    dtype = w["embeddings.word_embeddings.weight"].dtype
    bias = (1.0 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
    x = embeddings(w, config, input_ids, token_type_ids, torch.arange(t).expand(b, t))
    hidden, maps = [x], []
    for i in range(config["num_hidden_layers"]):
        x, m = layer(w, config, f"encoder.layer.{i}", x, bias)
        hidden.append(x)
        maps.append(m)
    # BertPooler.forward, L660-666: tanh of the dense of column 0.
    pooled = torch.tanh(linear(w, "pooler.dense", x[:, 0]))
    return {"last_hidden_state": x, "pooler_output": pooled, "hidden_states": hidden, "attentions": maps}
