export const print = (text) => process.stdout.write(`${text}\n`)
const ms = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0))
const middle = (list) => list.toSorted((a, b) => a - b)[(list.length - 1) >> 1]

/** One line a row: the ratio, its rounds, both sides' times, the goal. */
export function printRow({ name, ratio, ratios, memoryRatio, memoryGoal, goal, difference, cosine, runs }) {
  const times = (side) => `${ms(middle(runs[side].map(({ median }) => median)))} ms`
  const parts = [
    `${ratio.toFixed(3)} of its time (${ratios.map((r) => r.toFixed(2)).join(', ')})`,
    `${times('ours')} against ${times('peer')}`,
    ...(difference === undefined ? [] : [`outputs differ by ${difference.toExponential(1)}`]),
    ...(cosine === undefined ? [] : [`cosine ${cosine.toFixed(4)}`]),
    ...(goal === undefined ? [] : [`goal ${goal}: ${ratio <= goal ? 'reached' : 'missed'}`]),
    ...(memoryRatio === undefined ? [] : [`${memoryRatio.toFixed(2)} of its memory${memoryGoal ? `, goal ${memoryGoal}` : ''}`]),
  ]
  const others = Math.max(...[...runs.ours, ...runs.peer].map(({ others = 0 }) => others))
  print(`${name}\n    ${parts.join('; ')}${others > 0.15 ? `; disturbed: others used ${others.toFixed(1)} cores` : ''}`)
}

export function summary(results) {
  const told = results.filter(({ goal, ratio }) => goal !== undefined && ratio !== undefined)
  const reached = told.filter(({ goal, ratio }) => ratio <= goal)
  const failed = results.filter(({ error }) => error !== undefined)
  print(`\n${reached.length} of ${told.length} goals reached${failed.length ? `, ${failed.length} rows failed` : ''}`)
  for (const { name, goal, ratio } of told.filter((row) => !reached.includes(row)))
    print(`  missed: ${name}: ${ratio.toFixed(3)} against ${goal}`)
}
