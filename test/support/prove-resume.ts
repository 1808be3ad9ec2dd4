// npm run prove:resume [count] [seed]: kills a training by SIGKILL at many random moments, half of them among the Trainer's file operations.
import { KilledTraining, type Kill } from './killed-training.ts'
import { random } from './random.ts'

const [count = 100, seed = 1] = process.argv.slice(2).map(Number)
const next = random(seed)
const training = await KilledTraining.create()
try {
  const { trained } = await training.run('whole')
  const want = await training.hash('whole')
  let [kills, checkpoints, runs] = [0, 0, 0]
  while (kills < count) {
    const list = Array.from({ length: 2 }, (_, i): Kill => {
      return i === 0 ? { operations: Math.floor(next() * 400) } : { milliseconds: next() * trained }
    })
    const name = `run-${runs++}`
    const found = await training.killed(name, list)
    kills += found.kills
    checkpoints += found.checkpoints
    const got = await training.hash(name)
    if (got !== want) throw new Error(`${name}, killed at ${JSON.stringify(list)}: ${got}, not ${want}`)
    process.stdout.write(`\r${kills} kills in ${runs} runs, ${checkpoints} checkpoints found whole, all ended in ${want.slice(0, 16)}`)
  }
  process.stdout.write('\n')
} finally {
  await training.dispose()
}
