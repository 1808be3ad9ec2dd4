"""Makes test/golden/logistic.json: what scikit-learn's LogisticRegression finds on small problems. Run it in this folder with Debian's python3-sklearn.

    /usr/bin/python3 generate_logistic.py

newton-cg to a tolerance of 1e-9 in float64, on rows that are float32. `coef` and `intercept` are scikit-learn's: one row for two classes.
"""
import json
import platform

import numpy
import sklearn
from sklearn.linear_model import LogisticRegression

CASES = [
    {"name": "two classes", "n": 16, "width": 12, "classes": 2, "C": 1.0},
    {"name": "two classes that overlap, weighing much", "n": 60, "width": 5, "classes": 2, "C": 50.0},
    {"name": "three classes", "n": 30, "width": 8, "classes": 3, "C": 1.0},
    {"name": "seven classes, more numbers than texts", "n": 56, "width": 64, "classes": 7, "C": 10.0},
    {"name": "unequal classes, weighing little", "n": 25, "width": 6, "classes": 4, "C": 0.01},
]

random = numpy.random.RandomState(11)
for case in CASES:
    n, width, classes = case["n"], case["width"], case["classes"]
    labels = numpy.arange(n) % classes if "unequal" not in case["name"] else numpy.minimum(numpy.arange(n) // 3, classes - 1)
    centres = random.randn(classes, width)
    rows = (0.7 * centres[labels] + random.randn(n, width)).astype(numpy.float32)
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    fit = LogisticRegression(C=case["C"], solver="newton-cg", tol=1e-9, max_iter=100000).fit(rows.astype(numpy.float64), labels)
    case.update(rows=[float(x) for x in rows.ravel()], labels=labels.tolist(), coef=fit.coef_.ravel().tolist(), intercept=fit.intercept_.tolist())

with open("logistic.json", "w") as file:
    json.dump({"versions": {"sklearn": sklearn.__version__, "numpy": numpy.__version__, "python": platform.python_version()}, "cases": CASES}, file)
