// How good rankings are, by the measures of trec_eval.

/** For each query the ids that were found, best first. */
export type Run = Readonly<Record<string, readonly (string | number)[]>>
/** For each query the grades of relevant ids; 0 and less is not relevant. */
export type Qrels = Readonly<Record<string, Readonly<Record<string, number>>>>

/** The mean over the queries that have judgements of a measure of one. */
function mean(run: Run, qrels: Qrels, measure: (found: readonly string[], grades: Readonly<Record<string, number>>) => number): number {
  const queries = Object.keys(qrels).filter((query) => Object.values(qrels[query]!).some((grade) => grade > 0))
  return queries.reduce((sum, query) => sum + measure((run[query] ?? []).map(String), qrels[query]!), 0) / queries.length
}

const grade = (grades: Readonly<Record<string, number>>, id: string): number => Math.max(0, (Object.hasOwn(grades, id) ? grades[id] : 0)!)
const relevant = (grades: Readonly<Record<string, number>>): number => Object.values(grades).filter((each) => each > 0).length

/** Normalised discounted cumulative gain of the first k: gains are grades, divided by log2(1 + rank). */
export function ndcg(run: Run, qrels: Qrels, k = 10): number {
  const gain = (list: readonly number[]): number => list.slice(0, k).reduce((sum, each, i) => sum + each / Math.log2(i + 2), 0)
  return mean(run, qrels, (found, grades) => {
    const ideal = Object.values(grades)
      .filter((each) => each > 0)
      .sort((a, b) => b - a)
    return gain(found.map((id) => grade(grades, id))) / gain(ideal)
  })
}

/** Mean average precision. */
export function meanAveragePrecision(run: Run, qrels: Qrels): number {
  return mean(run, qrels, (found, grades) => {
    let [hits, sum] = [0, 0]
    found.forEach((id, i) => {
      if (grade(grades, id) > 0) sum += ++hits / (i + 1)
    })
    return sum / relevant(grades)
  })
}

/** The share of relevant ids among the first k. */
export function recall(run: Run, qrels: Qrels, k = 100): number {
  return mean(run, qrels, (found, grades) => found.slice(0, k).filter((id) => grade(grades, id) > 0).length / relevant(grades))
}
