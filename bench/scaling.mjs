// npm run bench -- scaling: what a call's time depends on. One layer of MiniLM's width: the tokens are what is varied.
import { BertModel } from '../dist/index.node.js'

const CONFIG = {
  vocab_size: 1000,
  hidden_size: 384,
  num_hidden_layers: 1,
  num_attention_heads: 12,
  intermediate_size: 1536,
  max_position_embeddings: 512,
}
/** Milliseconds that a figure may take, and runs that it takes at least. */
const [BUDGET, RUNS] = [600, 3]
const print = (line) => process.stdout.write(`${line}\n`)

/** Rows of these lengths, with their padding. */
function inputs(lengths) {
  const columns = Math.max(...lengths)
  const dims = [lengths.length, columns]
  const input_ids = { data: new Int32Array(lengths.length * columns).map((_, i) => (i * 7919) % 1000), dims }
  const attention_mask = { data: new Int32Array(lengths.length * columns), dims }
  lengths.forEach((length, row) => attention_mask.data.fill(1, row * columns, row * columns + length))
  return { input_ids, attention_mask }
}

/** The median time of each call, the calls in turn, so that a slow minute of the machine meets all of them. */
async function times(calls) {
  const found = calls.map(() => [])
  for (const call of calls) await call()
  const start = performance.now()
  for (let run = 0; run < RUNS || performance.now() - start < BUDGET * calls.length; run++) {
    for (const [i, call] of calls.entries()) {
      const before = performance.now()
      await call()
      found[i].push(performance.now() - before)
    }
  }
  return found.map((list) => list.sort((a, b) => a - b)[list.length >> 1])
}

const rows = (count, length) => new Array(count).fill(length)
const sum = (list) => list.reduce((total, x) => total + x, 0)

export async function printScaling({ threads = 2 } = {}) {
  const one = new BertModel(CONFIG, { threads: 1 })
  const many = new BertModel(CONFIG, { threads })
  const on = (model, lengths) => {
    const made = inputs(lengths)
    return () => model(made)
  }
  for (const end = performance.now() + 2000; performance.now() < end;) await on(many, rows(8, 128))()

  print(`\ntokens, in rows of 128, ${threads} threads: each beside half as many`)
  for (let tokens = 2048; tokens <= 65536; tokens *= 2) {
    const [half, all] = await times([tokens / 2, tokens].map((count) => on(many, rows(count / 128, 128))))
    print(`${String(tokens).padStart(6)}  ${all.toFixed(1)} ms  ${(all / half).toFixed(3)} of the time of half`)
  }

  print(`\nlength of a row, 4096 tokens in all: attention's part grows with it`)
  const lengths = [64, 128, 256, 512]
  const byLength = await times(lengths.map((length) => on(many, rows(4096 / length, length))))
  // The rest is the same: what is more is attention's, in proportion to the length.
  const perLength = (byLength.at(-1) - byLength[0]) / (lengths.at(-1) - lengths[0])
  lengths.forEach((length, i) =>
    print(`${String(length).padStart(6)}  ${byLength[i].toFixed(1)} ms  attention ${(perLength * length).toFixed(1)} ms`),
  )

  print('\nmixed lengths, as they come: time beside that of as many tokens in rows of one length')
  const mixed = Array.from({ length: 64 }, (_, i) => 4 + ((i * 37) % 61))
  const even = rows(64, Math.round(sum(mixed) / 64))
  const padded = rows(64, Math.max(...mixed))
  const [asTheyCome, equal, full] = await times([mixed, even, padded].map((list) => on(many, list)))
  const perToken = asTheyCome / sum(mixed) / (equal / sum(even))
  print(
    `  4..64  ${asTheyCome.toFixed(1)} ms  ${perToken.toFixed(3)} a token; padded it would be ${(full / asTheyCome).toFixed(2)} times as long`,
  )

  print(`\n${threads} threads, time beside that of one thread divided by ${threads}`)
  const shapes = { '1x8': [8], '1x16': [16], '1x128': [128], '1x512': [512], '512 and three of 8': [512, 8, 8, 8], '64 of 4..64': mixed }
  for (const [name, list] of Object.entries(shapes)) {
    const [single, shared] = await times([one, many].map((model) => on(model, list)))
    print(`  ${name.padEnd(20)} ${shared.toFixed(2)} ms  ${((shared * threads) / single).toFixed(3)} of the ideal`)
  }
  await one.dispose()
  await many.dispose()
}
