// The same sentences, computed in every way that must not matter, come to one committed hash. No framework: any runtime can run it.
import { BertModel } from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../support/models.ts'

export interface HashOptions {
  threads: number
  attn_implementation?: 'eager' | 'sdpa'
  /** How the sentences go in: all together, one by one, or reversed among strangers. */
  how?: 'together' | 'alone' | 'among'
  budget?: number
  seed?: number
}

/** Everything that must give the same bits. */
export const REPRODUCIBLE_CASES: Record<string, HashOptions> = {
  '1 thread': { threads: 1 },
  '2 threads': { threads: 2 },
  '3 threads': { threads: 3 },
  '4 threads': { threads: 4 },
  'the calling thread': { threads: 0 },
  'each alone': { threads: 2, how: 'alone' },
  'among others, in another order': { threads: 2, how: 'among' },
  'a small budget': { threads: 2, budget: 1 },
  'a budget for half of them': { threads: 3, budget: 150 },
  'a large budget': { threads: 2, budget: 65536 },
}

/** FNV-1a over the bits of hidden states, pooler outputs and attention maps of twelve sentences. */
export const GOLDEN_HASH = '6e1da108'

const rows = [...sequences(10, { longest: 60, seed: 11 }), [3], sequences(1, { longest: 300, seed: 5 })[0]!]

export async function outputHash({ threads, how = 'together', budget = 1024, seed = 1 }: HashOptions): Promise<string> {
  // Head size 13 and hidden size 52 exercise every tail.
  const files = checkpoint({ hidden_size: 52, num_attention_heads: 4, intermediate_size: 101 }, seed)
  const model = await BertModel.fromPretrained(memorySource(files, 'hash'), { threads, budget })
  try {
    const results: number[][] = []
    const run = async (batch: number[][], keep: (i: number) => number | undefined): Promise<void> => {
      for (const output_attentions of [false, true]) {
        const output = await model({ ...rectangle(batch), output_attentions })
        batch.forEach((row, i) => {
          const at = keep(i)
          if (at !== undefined) results[at] = (results[at] ?? []).concat(pick(output, i, row.length))
        })
      }
    }
    if (how === 'alone') for (const [i, row] of rows.entries()) await run([row], () => i)
    else if (how === 'together') await run(rows, (i) => i)
    else {
      const strangers = sequences(rows.length, { longest: 33, seed: 99 })
      const mixed = [...rows].reverse().flatMap((row, i) => [strangers[i]!, row])
      await run(mixed, (i) => (i % 2 === 1 ? rows.length - 1 - (i - 1) / 2 : undefined))
    }
    return hash(Float32Array.from(results.flat()))
  } finally {
    await model.dispose()
  }
}

type Output = Awaited<ReturnType<BertModel>>

/** The real values of row i: its tokens' states, its pooled vector, its maps. */
function pick({ last_hidden_state, pooler_output, attentions = [] }: Output, i: number, length: number): number[] {
  const [, columns, width] = last_hidden_state.dims as [number, number, number]
  const values = [
    ...last_hidden_state.data.subarray(i * columns * width, (i * columns + length) * width),
    ...pooler_output.data.subarray(i * width, (i + 1) * width),
  ]
  for (const { data, dims } of attentions) {
    for (let head = 0; head < dims[1]!; head++) {
      for (let row = 0; row < length; row++) {
        const at = ((i * dims[1]! + head) * columns + row) * columns
        for (let column = 0; column < length; column++) values.push(data[at + column]!)
      }
    }
  }
  return values
}

function hash(values: Float32Array): string {
  let state = 0x811c9dc5
  for (const byte of new Uint8Array(values.buffer)) state = Math.imul(state ^ byte, 0x01000193) >>> 0
  return state.toString(16).padStart(8, '0')
}
