"""Makes test/golden/pipelines/*: one tiny trunk with a seeded head for each task, and what Hugging Face's own pipelines say of texts.

    pip install torch transformers==5.18.0
    python generate_pipelines.py
    pip install transformers==4.57.6 tokenizers==0.22.2
    python generate_pipelines.py

The first call makes the weights and golden.json. The second adds windows.json: transformers 5 has no question answering, and tokenizers 0.23 stops
reading a text soon after the first window, so that later ones are lost.
A case has what a pipeline is called with and `want`. Places of characters are counted as JavaScript counts them.
"""
import json
import os

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import pipeline

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipelines")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = """the a of in is was and to film what who where lived london paris capital france ada love ##lace ##ing ##s ##ed good bad not very city river
long cat dog sat on mat . , ! ? ' - ( ) 東 京 都 נ ש ##ש ##ל ##ו ##ם é 🙂 🎉 computer program wrote first mother father queen king england""".split()
VOCAB = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), *WORDS]))
CONFIG = {
    "model_type": "bert", "vocab_size": len(VOCAB), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "initializer_range": 0.4,
}
NER = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
OTHER = ["O", "B-PER", "E-PER", "S-LOC", "MISC-ELSE"]
labels = lambda names: {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
# Class and config of each head.
HEADS = {
    "mlm": ("BertForMaskedLM", {}),
    "ner": ("BertForTokenClassification", labels(NER)),
    "sentiment": ("BertForSequenceClassification", labels(["negative", "neutral", "positive"])),
    "topics": ("BertForSequenceClassification", {**labels(["a", "b", "c", "d"]), "problem_type": "multi_label_classification"}),
    "score": ("BertForSequenceClassification", {**labels(["score"]), "problem_type": "regression"}),
    "single": ("BertForSequenceClassification", labels(["LABEL_0"])),
    "nli": ("BertForSequenceClassification", labels(["contradiction", "neutral", "entailment"])),
    "nli-first": ("BertForSequenceClassification", labels(["Entailment", "not_entailment"])),
    "qa": ("BertForQuestionAnswering", {}),
    "nsp": ("BertForNextSentencePrediction", {}),
    "choice": ("BertForMultipleChoice", {}),
}
LONG = " ".join(
    ["Ada Lovelace lived in London, and the king of England was not in Paris! She wrote the first computer program"] * 5
    + ["🙂 東京都 was the capital; naïve Zoë (ﬁrst) sat on שלום mats..."] * 3
)
TEXTS = [
    "Ada Lovelace lived in London.",
    "🎉🙂 the cat sat on 東京 and Zoë's café: e\u0301tude, שלום עולם! ﬁlm İstanbul 👩‍👩‍👧 \U0001d400b",
    "",
    "unbelievablyyyyyyyyyy longwords --- in (Paris)",
]


def own_tokenizer():
    return transformers.BertTokenizerFast.from_pretrained(FOLDER)


def write(name, value):
    with open(os.path.join(FOLDER, name), "w") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")


def make_weights():
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "vocab.txt"), "w") as file:
        file.write("".join(f"{token}\n" for token in VOCAB))
    write("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64, "clean_up_tokenization_spaces": True})
    write("config.json", CONFIG)
    trunk = None
    for i, (name, (head, config)) in enumerate(HEADS.items()):
        torch.manual_seed(i)
        model = getattr(transformers, head)(transformers.BertConfig(**{**CONFIG, **config}))
        with torch.no_grad():
            for key, value in model.named_parameters():
                if key.endswith("bias"):
                    value.normal_(0, 0.2)
        state = {key: value.detach().clone().contiguous() for key, value in model.state_dict().items()}
        if trunk is None:
            trunk = {key: value for key, value in state.items() if key.startswith("bert.")}
            torch.manual_seed(100)
            trunk.update({"bert.pooler.dense.weight": torch.randn(32, 32) * 0.4, "bert.pooler.dense.bias": torch.randn(32) * 0.2})
            save_file(trunk, os.path.join(FOLDER, "trunk.safetensors"), {"format": "pt"})
        own = {key: value for key, value in state.items() if not key.startswith("bert.") and ".decoder." not in key}
        save_file(own, os.path.join(FOLDER, f"{name}.safetensors"), {"format": "pt"})


def build(name, **config):
    head, own = HEADS[name]
    model = getattr(transformers, head)(transformers.BertConfig(**{**CONFIG, **own, **config})).eval()
    state = {**load_file(os.path.join(FOLDER, "trunk.safetensors")), **load_file(os.path.join(FOLDER, f"{name}.safetensors"))}
    result = model.load_state_dict(state, strict=False)
    assert not [key for key in result.missing_keys if ".decoder." not in key], result
    if "cls.predictions.bias" in state:
        model.tie_weights()
        model.cls.predictions.decoder.bias = model.cls.predictions.bias
    return model


def places(value, text):
    """The same with places in UTF-16 units, and ordinary numbers."""
    if isinstance(value, list):
        return [places(item, text) for item in value]
    if not isinstance(value, dict):
        return value
    unit = lambda at: len(text[:at].encode("utf-16-le", "surrogatepass")) // 2
    return {key: unit(item) if key in ("start", "end") else float(item) if key == "score" else item for key, item in value.items()}


def cases():
    """Yields (task, head, config, arguments, options, want)."""
    def ask(task, head, *inputs, js=None, config=None, **options):
        """`js`: options that only bertlet takes, because they are its defaults in Python, or the other way round."""
        pipe = pipeline(task, model=build(head, **(config or {})), tokenizer=own_tokenizer())
        want = pipe(*inputs, **options)
        text = inputs[0] if isinstance(inputs[0], str) else None
        return task, head, config or {}, inputs, js if js is not None else options, places(want, text) if text is not None else want

    for text in TEXTS + [LONG[:180]]:
        for strategy in ("none", "simple", "first", "average", "max"):
            for config in (None, labels(OTHER)):
                yield ask("token-classification", "ner", text, config=config, aggregation_strategy=strategy)
    yield ask("token-classification", "ner", TEXTS[1], ignore_labels=[], aggregation_strategy="simple")
    yield ask("token-classification", "ner", TEXTS[1], ignore_labels=["B-PER", "PER"], aggregation_strategy="max")

    masked = "The [MASK] sat on the [MASK] of London."
    yield ask("fill-mask", "mlm", "The [MASK] was good!", top_k=5)
    yield ask("fill-mask", "mlm", "The [MASK] was good!")
    yield ask("fill-mask", "mlm", masked, top_k=2)
    yield ask("fill-mask", "mlm", "The [MASK] was good!", targets=["cat", "dog", "zoë", "cat"])
    yield ask("fill-mask", "mlm", "The [MASK] was good!", targets="king")
    yield ask("fill-mask", "mlm", masked, targets=["cat", "dog", "mat"], top_k=2)
    yield ask("fill-mask", "mlm", ["[MASK] cat", masked], top_k=1)

    cut = {"truncation": True}
    for head in ("sentiment", "topics", "score", "single"):
        for top_k in (None, 2):
            yield ask("text-classification", head, TEXTS[0], top_k=top_k)
        yield ask("text-classification", head, TEXTS[1])
        yield ask("text-classification", head, TEXTS, js={})
        yield ask("text-classification", head, TEXTS, top_k=None)
        yield ask("text-classification", head, LONG, js={}, **cut)
        yield ask("text-classification", head, {"text": TEXTS[0], "text_pair": LONG}, js={"top_k": 3}, top_k=3, **cut)
        for name in ("sigmoid", "softmax", "none"):
            yield ask("text-classification", head, TEXTS[0], top_k=None, function_to_apply=name)

    for head in ("nli", "nli-first"):
        for multi in (False, True):
            yield ask("zero-shot-classification", head, TEXTS[0], ["film", "city", "river", "the king of england"], multi_label=multi)
            yield ask("zero-shot-classification", head, LONG, "film, city ,, good dog", multi_label=multi)
        yield ask("zero-shot-classification", head, TEXTS[3], ["film"])
        yield ask("zero-shot-classification", head, TEXTS[0], ["cat", "dog"], hypothesis_template="{}, not what!")
        yield ask("zero-shot-classification", head, [TEXTS[0], TEXTS[3]], ["cat", "dog"])


def plain_cases():
    """Tasks without a pipeline of transformers: its models, and the rules of sentence-transformers in a few lines."""
    encode = lambda *texts: own_tokenizer()(*texts, return_tensors="pt", truncation=True)
    model = build("nsp")
    for pair in ((TEXTS[0], "what film"), (TEXTS[1], TEXTS[3])):
        score = model(**encode(*pair)).logits.softmax(-1)[0, 0].item()
        yield "next-sentence-prediction", "nsp", {}, [{"text": pair[0], "text_pair": pair[1]}], {}, {"is_next": score >= 0.5, "score": score}
    model = build("choice")
    for choices in (["good.", "the cat", "was"], ["in London", "not"]):
        logits = [model(**{key: value[None] for key, value in encode(TEXTS[0], choice).items()}).logits.item() for choice in choices]
        best = max(range(len(choices)), key=lambda i: logits[i])
        want = {"choice": best, "answer": choices[best], "scores": torch.tensor(logits).softmax(0).tolist()}
        yield "multiple-choice", "choice", {}, [{"text": TEXTS[0], "choices": choices}], {}, want
    model = build("single")
    documents = [TEXTS[0], TEXTS[3], LONG, "london"]
    logits = [model(**encode("where lived Ada", document)).logits.item() for document in documents]
    for config, score in (({}, lambda x: torch.tensor(x).sigmoid().item()), ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, float)):
        order = sorted(range(4), key=lambda i: -logits[i])
        want = [{"corpus_id": i, "score": score(logits[i])} for i in order]
        yield "text-ranking", "single", config, ["where lived Ada", documents], {}, want
        yield "text-ranking", "single", config, ["where lived Ada", documents], {"top_k": 2, "return_documents": True}, [{**row, "text": documents[row["corpus_id"]]} for row in want[:2]]

    model = build("ner").bert
    hidden = [model(**encode(text)).last_hidden_state[0] for text in TEXTS]
    unit = torch.nn.functional.normalize
    pools = {"mean": lambda h: h.mean(0), "max": lambda h: h.max(0).values, **dict.fromkeys(("cls", "first_token"), lambda h: h[0]),
             **dict.fromkeys(("last", "last_token", "eos"), lambda h: h[-1])}
    for name, pool in pools.items():
        vectors = torch.stack([pool(h) for h in hidden])
        for options, want in (({}, vectors), ({"normalize": True, "truncate_dim": 5}, unit(vectors[:, :5])), ({"normalize": True}, unit(vectors))):
            if not options or name in ("mean", "max"):
                yield "feature-extraction", "ner", {}, [TEXTS], {"pooling": name, **options}, tensor(want)
    yield "feature-extraction", "ner", {}, [TEXTS], {}, tensor(torch.nn.utils.rnn.pad_sequence(hidden, batch_first=True))
    prompted = model(**encode("what was " + TEXTS[0])).last_hidden_state[0]
    yield "feature-extraction", "ner", {}, [TEXTS[0]], {"pooling": "mean", "prompt": "what was "}, tensor(prompted.mean(0)[None])
    a, *b = unit(torch.stack([h.mean(0) for h in hidden]))
    yield "sentence-similarity", "ner", {}, [TEXTS[0], TEXTS[1:]], {}, [(a @ x).item() for x in b]


def tensor(value):
    return {"dims": list(value.shape), "data": value.flatten().tolist()}


def windows():
    pipe = pipeline("token-classification", model=build("ner"), tokenizer=own_tokenizer())
    for strategy in ("simple", "first", "average", "max"):
        for stride in (0, 7, 30):
            options = {"aggregation_strategy": strategy, "stride": stride}
            yield "token-classification", "ner", {}, [LONG], options, places(pipe(LONG, **options), LONG)


def questions():
    pipe = pipeline("question-answering", model=build("qa"), tokenizer=own_tokenizer())
    ask = ["Who lived in London?", "where?", "was the 🙂 cat good, and who wrote of שלום"]
    for question in ask:
        for context in (TEXTS[0], TEXTS[1], LONG):
            for options in ({}, {"top_k": 5}, {"top_k": 4, "handle_impossible_answer": True}, {"top_k": 3, "max_answer_len": 2},
                            {"top_k": 3, "align_to_words": False}, {"top_k": 3, "max_seq_len": 40, "doc_stride": 10}):
                if options.get("align_to_words") is False or context is LONG or not options.get("max_seq_len"):
                    yield "question-answering", "qa", {}, [question, context], options, places(pipe(question=question, context=context, **options), context)


@torch.no_grad()
def main():
    four = transformers.__version__.startswith("4.")
    if not four:
        make_weights()
    names = ("task", "head", "config", "inputs", "options", "want")
    versions = {"torch": torch.__version__, "tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
    heads = {name: {"architectures": [head], **config} for name, (head, config) in HEADS.items()}
    made = [dict(zip(names, case)) for case in ([*windows(), *questions()] if four else [*cases(), *plain_cases()])]
    write("windows.json" if four else "golden.json", {"versions": versions, **({} if four else {"heads": heads}), "cases": made})


main()
