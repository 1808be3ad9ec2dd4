# Makes wordpiece.json: the vocabularies that the official tokenizers library (pip install tokenizers==0.23.2) trains on corpus/.
#     python test/golden/wordpiece.py
# The library numbers the ## forms of characters differently in every run, which decides ties: `tokens` is one run's vocabulary by id, `sometimes`
# what only some of many runs have.
import json
import pathlib

import tokenizers

HERE = pathlib.Path(__file__).parent
CORPUS = str(HERE / "corpus/pride-and-prejudice.txt")
RUNS = 16
CASES = [
    ({"lowercase": True}, {"vocab_size": 2000, "min_frequency": 2, "limit_alphabet": 1000}),
    ({"lowercase": True}, {"vocab_size": 30000, "min_frequency": 6, "limit_alphabet": 1000}),
    ({"lowercase": False}, {"vocab_size": 3000, "min_frequency": 2, "limit_alphabet": 1000}),
    ({"lowercase": True}, {"vocab_size": 1000, "min_frequency": 2, "limit_alphabet": 24, "initial_alphabet": ["z", "\u00e9", "\u0142"]}),
    ({"lowercase": True}, {"vocab_size": 1500, "min_frequency": 2, "limit_alphabet": 1000, "wordpieces_prefix": "_"}),
]

cases = []
for normalizer, options in CASES:
    runs = []
    for _ in range(RUNS):
        tokenizer = tokenizers.BertWordPieceTokenizer(wordpieces_prefix=options.get("wordpieces_prefix", "##"), **normalizer)
        tokenizer.train(CORPUS, show_progress=False, **options)
        runs.append(tokenizer.get_vocab())
    names = [set(run) for run in runs]
    sometimes = sorted(set.union(*names) - set.intersection(*names))
    cases.append({"normalizer": normalizer, "options": options, "tokens": sorted(runs[0], key=runs[0].get), "sometimes": sometimes})
golden = {"oracle": f"tokenizers {tokenizers.__version__}", "runs": RUNS, "cases": cases}
(HERE / "wordpiece.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
