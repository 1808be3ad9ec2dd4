"""Golden rankings: /usr/bin/python3 generate.py (numpy and scikit-learn; versions are in golden.json).

Vectors and qrels are of a seeded generator. nDCG is scikit-learn's ndcg_score and average precision its average_precision_score, over rankings of
every document; BM25 is the formula of Lucene's BM25Similarity times k1 + 1, in plain Python, with
lengths in distinct words, as minisearch counts them; semantic_search and paraphrase_mining follow
sentence-transformers 5 (util/retrieval.py) in float64.
"""
import json, math, os, re
import numpy, sklearn
from sklearn.metrics import average_precision_score, ndcg_score

random = numpy.random.RandomState(9)
H, N, Q = 20, 60, 7
# Steps of 1/64 are exact in float32 and in JSON.
corpus = numpy.round(random.randn(N, H) * 64) / 64
corpus[11] = corpus[3]  # a tie
queries = numpy.round(random.randn(Q, H) * 64) / 64


def unit(x):
    return x / numpy.linalg.norm(x, axis=-1, keepdims=True)


def search(scores, k):
    # Best first, of equal scores the first.
    return [[[int(j), float(row[j])] for j in sorted(range(len(row)), key=lambda j: (-round(row[j], 12), j))[:k]] for row in scores]


def paraphrase_mining(x, top_k, max_pairs):
    scores = unit(x) @ unit(x).T
    pairs = {}
    for i, best in enumerate(search(scores, top_k + 1)):
        for j, score in best:
            if i != j:
                pairs[tuple(sorted((i, j)))] = score
    return sorted(([score, i, j] for (i, j), score in pairs.items()), key=lambda p: (-round(p[0], 12), p[1], p[2]))[:max_pairs]


texts = [
    "Boundary layers on a flat plate",
    "the boundary layer of a wing: layer upon layer",
    "heat transfer in the wing of a supersonic plane",
    "a plate",
    "caf\u00e9 Caf\u00e9 cafe",
    "supersonic flow past a flat plate at high speed and the heat that comes of it",
]
words = lambda text: re.findall(r"[a-z0-9]+", text.lower().replace("\u00e9", "e"))


def bm25(query, k1, b):
    docs = [words(text) for text in texts]
    mean = sum(len(set(doc)) for doc in docs) / len(docs)
    found = []
    for i, doc in enumerate(docs):
        score = 0.0
        for word in words(query):
            n = sum(word in other for other in docs)
            tf = doc.count(word)
            if tf:
                idf = math.log(1 + (len(docs) - n + 0.5) / (n + 0.5))
                score += idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len(set(doc)) / mean))
        if score > 0:
            found.append([i, score])
    return sorted(found, key=lambda p: (-p[1], p[0]))


asked = ["flat plate", "boundary layer wing", "CAFE", "nothing of these words", "the heat of the plate"]

scores = unit(queries) @ unit(corpus).T
grades = random.choice([0, 0, 0, 0, 1, 2, 4], size=(Q, N))
grades[0] = 0
grades[0][5] = 3
rank = [[j for j, _ in row] for row in search(scores, N)]
metrics = {
    # A mean over queries; every query has a relevant document.
    "ndcg10": float(ndcg_score(grades, scores - 1e-13 * numpy.arange(N), k=10)),
    "ndcg": float(ndcg_score(grades, scores - 1e-13 * numpy.arange(N))),
    "map": float(numpy.mean([average_precision_score(g > 0, s - 1e-13 * numpy.arange(N)) for g, s in zip(grades, scores)])),
    "recall20": float(numpy.mean([(g[r[:20]] > 0).sum() / (g > 0).sum() for g, r in zip(grades, rank)])),
}
golden = {
    "versions": {"numpy": numpy.__version__, "scikit-learn": sklearn.__version__},
    "corpus": corpus.tolist(),
    "queries": queries.tolist(),
    "cos_sim": search(scores, 8),
    "dot_score": search(queries @ corpus.T, 8),
    "pairs": paraphrase_mining(corpus, 3, 40),
    "grades": grades.tolist(),
    "rank": rank,
    "metrics": metrics,
    "texts": texts,
    "bm25": [{"query": q, "k1": k1, "b": b, "hits": bm25(q, k1, b)} for q in asked for k1, b in [(1.2, 0.75), (0.9, 0.4)]],
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json"), "w") as file:
    json.dump(golden, file, separators=(",", ":"))
    file.write("\n")
