"""Golden values of metrics: metrics.json, from scipy, scikit-learn and seqeval.

    pip install scipy scikit-learn seqeval   # 1.17.1, 1.9.1 and 1.2.2 made the file
    python3 generate_metrics.py

Cases of their own, with a fixed seed: classes (also some that never occur), scores with ties, tag sequences that break every rule.
"""
import json
import os
import random
import re
import string
import warnings

import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2, IOBES

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
SEQEVAL = "1.2.2"


def classes(rng):
    for count, n, noise in [(2, 40, 0.3), (2, 25, 0.9), (3, 60, 0.4), (5, 50, 0.6), (7, 12, 0.5)]:
        wanted = [rng.randrange(count) for _ in range(n)]
        found = [rng.randrange(count) if rng.random() < noise else label for label in wanted]
        yield count, found, wanted
    yield 2, [1, 1, 1, 1], [0, 1, 0, 1]
    yield 2, [0, 0, 0, 0], [0, 0, 0, 0]
    yield 4, [0, 0, 2, 2, 0], [0, 0, 2, 0, 2]


def of_classes(count, found, wanted):
    f1 = sk.f1_score(wanted, found, average="binary" if count == 2 else "macro", zero_division=0)
    return {"classes": count, "found": found, "wanted": wanted, "accuracy": sk.accuracy_score(wanted, found), "f1": f1,
            "matthews_correlation": sk.matthews_corrcoef(wanted, found)}


def scores(rng):
    for n, digits in [(30, 3), (50, 0), (12, 1)]:
        wanted = [round(rng.uniform(0, 5), digits) for _ in range(n)]
        found = [round(0.7 * x + rng.gauss(0, 1), digits) for x in wanted]
        yield found, wanted


def of_scores(found, wanted):
    return {"found": found, "wanted": wanted, "pearson": scipy.stats.pearsonr(found, wanted)[0],
            "spearman": scipy.stats.spearmanr(found, wanted)[0], "mse": sk.mean_squared_error(wanted, found)}


def tags(rng, prefixes, n):
    alphabet = ["O"] + [f"{p}-{t}" for p in prefixes for t in ("PER", "LOC", "A-B")]
    return [[rng.choice(alphabet) if rng.random() < 0.8 else "O" for _ in range(rng.randrange(1, 12))] for _ in range(n)]


def changed(rng, gold, share):
    alphabet = sorted({tag for tags in gold for tag in tags})
    return [[rng.choice(alphabet) if rng.random() < share else tag for tag in tags] for tags in gold]


def of_tags(gold, found, scheme):
    how = {} if scheme is None else {"mode": "strict", "scheme": {"IOB2": IOB2, "IOBES": IOBES}[scheme]}
    report = classification_report(gold, found, output_dict=True, **how)
    micro = report["micro avg"]
    types = {name: {"precision": float(row["precision"]), "recall": float(row["recall"]), "f1": float(row["f1-score"]), "support": int(row["support"])}
             for name, row in report.items() if not name.endswith(" avg")}
    return {"scheme": scheme, "gold": gold, "found": found, "precision": float(micro["precision"]), "recall": float(micro["recall"]),
            "f1": float(micro["f1-score"]), "accuracy": float(accuracy_score(gold, found)), "types": types}


def normalised(rng):
    """What the official SQuAD scripts do to an answer, in Python's own words: lower(), string.punctuation, re's word boundaries, split()."""
    signs = list("aAnthe .,-_'\"()") + ["the", "an", "a", "\u00a0", "\u0301", "é", "İ", "Σ", "ς", "\u2028", "\u001c", "\u0085", "\ufeff", "\u200b", "１", "ª", "²", "一",
                                       "ا", "_a", "\U0001f600", "\u0345", "ǅ", "\u180e", "½", "\u0e33", "\u2160"]
    for _ in range(300):
        text = "".join(rng.choice(signs) for _ in range(rng.randrange(1, 14)))
        bare = "".join(c for c in text.lower() if c not in string.punctuation)
        yield [text, " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())]


def main():
    rng = random.Random(8)
    by_hand = [
        ([["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
         [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]),
        ([["B-PER", "I-PER"], ["B-LOC"]], [["I-PER", "I-PER"], ["I-LOC"]]),
        ([["B-PER", "B-PER", "I-LOC", "I-PER"]], [["I-PER", "B-PER", "I-LOC", "O"]]),
    ]
    tagged = [of_tags(gold, found, scheme) for gold, found in by_hand for scheme in (None, "IOB2")]
    for share in (0.1, 0.5):
        gold = tags(rng, "BI", 30)
        found = changed(rng, gold, share)
        tagged += [of_tags(gold, found, None), of_tags(gold, found, "IOB2")]
        gold = tags(rng, "BIES", 30)
        found = changed(rng, gold, share)
        tagged += [of_tags(gold, found, None), of_tags(gold, found, "IOBES")]
    golden = {
        "versions": {"scipy": scipy.__version__, "scikit-learn": sklearn.__version__, "seqeval": SEQEVAL},
        "classes": [of_classes(*case) for case in classes(rng)],
        "scores": [of_scores(*case) for case in scores(rng)],
        "tags": tagged,
        "normalised": list(normalised(rng)),
    }
    with open(os.path.join(HERE, "metrics.json"), "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
