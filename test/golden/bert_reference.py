"""BERT in plain PyTorch functions. Each names the lines of Hugging Face transformers 5.18.0 that it follows: L... are lines of
src/transformers/models/bert/modeling_bert.py at the tag v5.18.0, A... lines of src/transformers/activations.py there.
`compare_transformers.py` holds them against those classes themselves.

Weights come in a dict under transformers' names (without the `bert.` prefix); every function works in the dtype of its weights,
so the same code gives float32 and float64.
"""
import math

import torch
import torch.nn.functional as F


def gelu_new(x):
    """NewGELUActivation, A59-66."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_pytorch_tanh(x):
    """GELUTanh, A31-51."""
    return F.gelu(x, approximate="tanh")


def gelu_fast(x):
    """FastGELUActivation, A107-113."""
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


def quick_gelu(x):
    """QuickGELUActivation, A117-123."""
    return x * torch.sigmoid(1.702 * x)


# ACT2CLS, A324-349.
ACT = {
    "gelu": F.gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_pytorch_tanh,
    "gelu_fast": gelu_fast,
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


def embeddings(w, config, words, token_type_ids, position_ids):
    """BertEmbeddings.forward, L68-108: words (or inputs_embeds) + type, then + position, then LayerNorm."""
    x = words + w["embeddings.token_type_embeddings.weight"][token_type_ids]
    x = x + w["embeddings.position_embeddings.weight"][position_ids]
    return layer_norm(w, "embeddings", x, config["layer_norm_eps"])


def attention(w, config, name, x, bias):
    """BertSelfAttention.forward, L164-203, with eager_attention_forward, L111-136: softmax(q k^T / sqrt(d) + bias) v. Returns output and
    maps. (5.18.0 multiplies by d ** -0.5; 4.57.6 divides, as here.)"""
    b, t, h = x.shape
    heads = config["num_attention_heads"]
    d = h // heads

    def split(part):
        return linear(w, f"{name}.self.{part}", x).view(b, t, heads, d).transpose(1, 2)

    scores = split("query") @ split("key").transpose(-1, -2) / math.sqrt(d) + bias
    maps = torch.softmax(scores, dim=-1)
    return (maps @ split("value")).transpose(1, 2).reshape(b, t, h), maps


def layer(w, config, name, x, bias):
    """BertLayer.forward, L374-416: BertAttention with BertSelfOutput (L289-293), BertIntermediate (L334-337), BertOutput (L347-351)."""
    eps = config["layer_norm_eps"]
    context, maps = attention(w, config, f"{name}.attention", x, bias)
    x = layer_norm(w, f"{name}.attention.output", linear(w, f"{name}.attention.output.dense", context) + x, eps)
    inner = ACT[config["hidden_act"]](linear(w, f"{name}.intermediate.dense", x))
    return layer_norm(w, f"{name}.output", linear(w, f"{name}.output.dense", inner) + x, eps), maps


def bert(w, config, input_ids=None, attention_mask=None, token_type_ids=None, position_ids=None, inputs_embeds=None, add_pooling_layer=True):
    """BertModel.forward, L623-686: ids or inputs_embeds [B, T, H]; what is left out is ones (the mask), zeros (types), columns (positions).
    The mask becomes 0 where a key counts and the dtype's minimum where not (L704-708)."""
    words = w["embeddings.word_embeddings.weight"][input_ids] if inputs_embeds is None else inputs_embeds
    b, t, _ = words.shape
    dtype = words.dtype
    mask = torch.ones(b, t) if attention_mask is None else attention_mask
    types = torch.zeros(b, t, dtype=torch.long) if token_type_ids is None else token_type_ids
    positions = torch.arange(t).expand(b, t) if position_ids is None else position_ids
    bias = (1.0 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
    x = embeddings(w, config, words, types, positions)
    hidden, maps = [x], []
    for i in range(config["num_hidden_layers"]):
        x, m = layer(w, config, f"encoder.layer.{i}", x, bias)
        hidden.append(x)
        maps.append(m)
    pooled = {"pooler_output": pooler(w, x)} if add_pooling_layer else {}
    return {"last_hidden_state": x, **pooled, "hidden_states": hidden, "attentions": maps}


def pooler(w, x):
    """BertPooler.forward, L457-463: tanh of the dense of column 0."""
    return torch.tanh(linear(w, "pooler.dense", x[:, 0]))


def predictions(w, config, x):
    """BertLMPredictionHead.forward, L493-496, after BertPredictionHeadTransform, L476-480. A tied decoder is the word table with
    cls.predictions.bias (_tied_weights_keys, L728-731)."""
    name = "cls.predictions.transform"
    x = layer_norm(w, name, ACT[config["hidden_act"]](linear(w, f"{name}.dense", x)), config["layer_norm_eps"])
    if config["tie_word_embeddings"]:
        return F.linear(x, w["embeddings.word_embeddings.weight"], w["cls.predictions.bias"])
    return linear(w, "cls.predictions.decoder", x)


def BertModel(w, config, **inputs):
    return bert(w, config, **inputs)


def BertForPreTraining(w, config, **inputs):
    """BertForPreTraining.forward, L751-816, with BertPreTrainingHeads, L525-528."""
    outputs = bert(w, config, **inputs)
    return {
        "prediction_logits": predictions(w, config, outputs["last_hidden_state"]),
        "seq_relationship_logits": linear(w, "cls.seq_relationship", outputs["pooler_output"]),
    }


def BertForMaskedLM(w, config, **inputs):
    """BertForMaskedLM.forward, L939-976."""
    return {"logits": predictions(w, config, bert(w, config, **inputs, add_pooling_layer=False)["last_hidden_state"])}


def BertForNextSentencePrediction(w, config, **inputs):
    """BertForNextSentencePrediction.forward, L996-1057."""
    return {"logits": linear(w, "cls.seq_relationship", bert(w, config, **inputs)["pooler_output"])}


def BertForSequenceClassification(w, config, **inputs):
    """BertForSequenceClassification.forward, L1084-1137: problem_type changes the loss only, dropout nothing when not training."""
    return {"logits": linear(w, "classifier", bert(w, config, **inputs)["pooler_output"])}


def BertForMultipleChoice(w, config, **inputs):
    """BertForMultipleChoice.forward, L1157-1231: inputs [B, C, T] (inputs_embeds [B, C, T, H]) as B * C rows."""
    choices = next(iter(inputs.values())).shape[1]
    flat = {name: value.flatten(0, 1) for name, value in inputs.items()}
    return {"logits": linear(w, "classifier", bert(w, config, **flat)["pooler_output"]).view(-1, choices)}


def BertForTokenClassification(w, config, **inputs):
    """BertForTokenClassification.forward, L1252-1287."""
    return {"logits": linear(w, "classifier", bert(w, config, **inputs, add_pooling_layer=False)["last_hidden_state"])}


def BertForQuestionAnswering(w, config, **inputs):
    """BertForQuestionAnswering.forward, L1304-1355."""
    logits = linear(w, "qa_outputs", bert(w, config, **inputs, add_pooling_layer=False)["last_hidden_state"])
    return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


def classes(logits, labels, ignored=-100):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten().long(), ignore_index=ignored)


def classification(config, logits, labels):
    """BertForSequenceClassification.forward, L1109-1130."""
    problem = config["problem_type"]
    if problem == "single_label_classification":
        return classes(logits, labels)
    if problem == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return F.mse_loss(logits.squeeze(), labels.squeeze().to(logits.dtype))


def loss(head, config, outputs, labels):
    """The loss of a head's outputs, as the forward of its class has it."""
    if head == "BertForPreTraining":  # L803-808
        words = classes(outputs["prediction_logits"], labels["labels"])
        return words + classes(outputs["seq_relationship_logits"], labels["next_sentence_label"])
    if head == "BertForQuestionAnswering":  # L1332-1347: positions beyond the row are ignored
        beyond = outputs["start_logits"].shape[1]
        return sum(classes(outputs[f"{end}_logits"], labels[f"{end}_positions"].clamp(0, beyond), beyond) for end in ("start", "end")) / 2
    if head == "BertForSequenceClassification":
        return classification(config, outputs["logits"], labels["labels"])
    return classes(outputs["logits"], labels["labels"])  # L966-969, L1047-1050, L1221-1224, L1277-1280


HEADS = {
    head.__name__: head
    for head in (
        BertModel,
        BertForPreTraining,
        BertForMaskedLM,
        BertForNextSentencePrediction,
        BertForSequenceClassification,
        BertForMultipleChoice,
        BertForTokenClassification,
        BertForQuestionAnswering,
    )
}
