// STS-B: its pairs, and the rank correlation that is reported of them.
import { readFile } from 'node:fs/promises'

/** Pairs of a tab-separated file: column 5 the score, 6 and 7 the sentences. */
export async function readPairs(file) {
  return (await readFile(file, 'utf8'))
    .split('\n')
    .map((line) => line.split('\t'))
    .filter((columns) => columns.length >= 7)
    .map((columns) => ({ score: Number(columns[4]), a: columns[5], b: columns[6].trimEnd() }))
}

export function spearman(x, y) {
  const [a, b] = [ranks(x), ranks(y)]
  const mean = (a.length + 1) / 2
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - mean) * (b[i] - mean)
    aa += (a[i] - mean) ** 2
    bb += (b[i] - mean) ** 2
  }
  return ab / Math.sqrt(aa * bb)
}

/** Ranks from 1; ties share their mean rank. */
function ranks(values) {
  const order = values.map((_, i) => i).sort((i, j) => values[i] - values[j])
  const result = new Array(values.length)
  for (let i = 0; i < order.length;) {
    let j = i
    while (j + 1 < order.length && values[order[j + 1]] === values[order[i]]) j++
    for (let k = i; k <= j; k++) result[order[k]] = (i + j) / 2 + 1
    i = j + 1
  }
  return result
}
