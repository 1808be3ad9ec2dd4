// npm run prove:tokenizer [-- COUNT [SEED]] : a million generated texts, per vocabulary, beside the official library.
import { bertSides, differences, ensureOracle } from './tokenizer-oracle.ts'
import { texts } from './tokenizer-texts.ts'

const [count, seed] = [Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1)]
const STEP = 20_000
const start = performance.now()
const sides = bertSides(await ensureOracle())
for (let done = 0; done < count; done += STEP) {
  const part = texts(Math.min(STEP, count - done), seed + done)
  for (const side of sides) {
    for (const { vocabulary, text, ours, theirs } of await differences(side, part)) {
      const points = Array.from(text, (c) => c.codePointAt(0)!.toString(16)).join(' ')
      process.stdout.write(
        `${vocabulary}: ${JSON.stringify(text)} (${points})\n  ours   ${JSON.stringify(ours)}\n  theirs ${JSON.stringify(theirs)}\n`,
      )
      process.exitCode = 1
    }
  }
  if (process.exitCode === 1) break
  if (process.stderr.isTTY) process.stderr.write(`\r${done + part.length} texts`)
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
if (process.exitCode !== 1)
  process.stdout.write(
    `${count} texts x ${sides.length} vocabularies, seed ${seed}: ids, type ids, offsets, word ids and special tokens are those of the library  ${((performance.now() - start) / 1000).toFixed(0)} s\n`,
  )
