import { beforeAll, describe, expect, it } from 'vitest'
import { Activation } from '../assembly/abi.ts'
import { Engine } from '../src/engine/engine.ts'
import type { Graph } from '../src/graph/graph.ts'
import { crossEntropy } from '../src/graph/losses.ts'
import { activation, embedding, layerNorm, linear } from '../src/graph/ops.ts'
import { OFFSETS, TOKENS, type Dims, type Tensor } from '../src/graph/tensor.ts'
import '../src/index.node.ts'
import { encoderLayer, Parameters } from '../src/models/bert.ts'
import { trainingGraphs } from '../src/training/graphs.ts'
import { TrainingSession } from '../src/training/session.ts'
import { readGolden, type Golden } from './support/golden.ts'

// The sizes that the golden file was made with.
interface Sizes {
  vocab_size: number
  embedding_size: number
  hidden_size: number
  num_attention_heads: number
  intermediate_size: number
  num_labels: number
  max_position_embeddings: number
  type_vocab_size: number
  layer_norm_eps: number
}

let golden: Golden
let sizes: Sizes
beforeAll(async () => {
  golden = await readGolden('training')
  sizes = golden.json.config as Sizes
})

/** Embedding, linear, gelu, LayerNorm, one whole layer, classifier, cross-entropy over all tokens. */
function build(g: Graph, layout: 'panel' | 'rows'): readonly Tensor[] {
  const [total, scale] = [g.state('loss', [1]), g.input('scale', [1], 'f32')]
  const p = new Parameters(g)
  const h = sizes.hidden_size
  const e = sizes.embedding_size
  const offsets = g.input('offsets', [OFFSETS])
  const embedded = embedding(
    g,
    g.input('input_ids', [TOKENS]),
    g.input('token_type_ids', [TOKENS]),
    g.input('position_ids', [TOKENS]),
    p.table('embeddings.word_embeddings', sizes.vocab_size, e),
    p.table('embeddings.token_type_embeddings', sizes.type_vocab_size, e),
    p.table('embeddings.position_embeddings', sizes.max_position_embeddings, e),
  )
  const projected = linear(g, embedded, p.table('projection', h, e, layout), p.vector('projection.bias', h))
  const normed = layerNorm(
    g,
    activation(g, projected, Activation.Gelu),
    p.vector('LayerNorm.weight', h),
    p.vector('LayerNorm.bias', h),
    sizes.layer_norm_eps,
  )
  const { output } = encoderLayer(g, { ...sizes, hidden_act: 'gelu' }, 'layer', normed, offsets)
  const logits = linear(g, output, p.table('classifier', sizes.num_labels, h, layout), p.vector('classifier.bias', sizes.num_labels))
  g.output('logits', logits)
  return [crossEntropy(g, logits, g.input('labels', [TOKENS]), scale, total)]
}

interface Batch {
  dims: Dims
  inputs: Record<string, Int32Array>
  labels: number
}

/** Sequences first..last-1 of the golden batch. */
function batch(first: number, last: number): Batch {
  const rows = golden.json.sequences as { input_ids: number[]; token_type_ids: number[]; labels: number[] }[]
  const chosen = rows.slice(first, last)
  const lengths = chosen.map((row) => row.input_ids.length)
  const offsets = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))])
  const flat = (values: number[][]): Int32Array => Int32Array.from(values.flat())
  const labels = flat(chosen.map((row) => row.labels))
  return {
    dims: {
      tokens: offsets.at(-1)!,
      sequences: chosen.length,
      longest: Math.max(...lengths),
      squares: lengths.reduce((sum, n) => sum + n * n, 0),
      selected: offsets.at(-1)!,
    },
    inputs: {
      offsets,
      labels,
      input_ids: flat(chosen.map((row) => row.input_ids)),
      token_type_ids: flat(chosen.map((row) => row.token_type_ids)),
      position_ids: flat(lengths.map((n) => Array.from({ length: n }, (_, i) => i))),
    },
    labels: labels.reduce((n, label) => n + (label === -100 ? 0 : 1), 0),
  }
}

async function start(threads: number, layout: 'panel' | 'rows' = 'panel'): Promise<{ engine: Engine; session: TrainingSession }> {
  const engine = await Engine.create(threads)
  const { lr: _, ...options } = golden.json.adamw as { lr: number; betas: [number, number]; eps: number; weight_decay: number }
  const session = new TrainingSession(
    engine,
    trainingGraphs((g) => build(g, layout), options),
  )
  await session.prepare(batch(0, 3).dims)
  for (const tensor of session.trained.keys()) {
    engine.store.write(tensor.name, golden.tensors.get(`initial.${tensor.name}`)!.data as Float32Array)
  }
  return { engine, session }
}

/** Five steps; the losses, and the first step's gradients by name. `chunks` cuts the batch. */
async function train(
  threads: number,
  chunks: readonly (readonly [number, number])[],
  layout: 'panel' | 'rows' = 'panel',
): Promise<{ losses: number[]; gradients: Map<string, Float32Array>; final: Map<string, Float32Array> }> {
  const { engine, session } = await start(threads, layout)
  const whole = batch(0, 3)
  const gradients = new Map<string, Float32Array>()
  const losses: number[] = []
  for (let step = 0; step < 5; step++) {
    await session.zero()
    for (const [first, last] of chunks) {
      const { dims, inputs } = batch(first, last)
      await session.accumulate(dims, { ...inputs, scale: Float32Array.of(1 / whole.labels) })
    }
    losses.push(session.loss())
    if (step === 0) for (const { name } of session.trained.keys()) gradients.set(name, session.gradient(name))
    await session.update((golden.json.adamw as { lr: number }).lr)
  }
  const final = new Map([...session.trained.keys()].map(({ name }) => [name, engine.store.read(name) as Float32Array]))
  await engine.dispose()
  return { losses, gradients, final }
}

const distance = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((x, i) => x - b[i]!))
const norm = (a: Float32Array): number => Math.hypot(...a)

describe('the first gradients', () => {
  it('equal PyTorch, every parameter by name, and so do five AdamW steps', async () => {
    const { losses, gradients, final } = await train(1, [[0, 3]])
    const names = [...golden.tensors.keys()].filter((name) => name.startsWith('grad.')).map((name) => name.slice('grad.'.length))
    expect([...gradients.keys()].sort()).toEqual(names.sort())
    const largest = Math.max(...names.map((name) => norm(golden.tensors.get(`grad.${name}`)!.data as Float32Array)))
    for (const name of names) {
      const wanted = golden.tensors.get(`grad.${name}`)!.data as Float32Array
      // A key bias moves every score of a row alike: its true gradient is zero, so only an absolute bound makes sense.
      const bound = name.endsWith('key.bias') ? 1e-6 * largest : 1e-5 * norm(wanted)
      expect(distance(gradients.get(name)!, wanted), name).toBeLessThanOrEqual(bound)
    }
    const wanted = golden.json.losses as number[]
    losses.forEach((loss, i) => expect(Math.abs(loss - wanted[i]!) / wanted[i]!, `step ${i}`).toBeLessThan(1e-5))
    for (const [name, values] of final) {
      // AdamW divides by |g|: where g is rounding noise, a step is noise of the size of the learning rate.
      if (name.endsWith('key.bias')) continue
      expect(distance(values, golden.tensors.get(`final.${name}`)!.data as Float32Array) / norm(values), name).toBeLessThan(1e-4)
    }
  })

  it('equal finite differences of the loss itself', async () => {
    const { engine, session } = await start(1)
    const { dims, inputs, labels } = batch(0, 3)
    const loss = async (): Promise<number> => {
      await session.zero()
      await session.accumulate(dims, { ...inputs, scale: Float32Array.of(1 / labels) })
      return session.loss()
    }
    await loss()
    const gradients = new Map([...session.trained.keys()].map(({ name }) => [name, session.gradient(name)]))
    for (const [name, gradient] of gradients) {
      if (name.endsWith('key.bias')) continue
      // Along the gradient itself the derivative is its norm: one direction that every element takes part in.
      const length = norm(gradient)
      const values = engine.store.read(name)
      // f32 losses carry about eps * loss of noise: h balances that against the third derivative.
      const h = 2e-2
      const at = async (t: number): Promise<number> => {
        engine.store.write(
          name,
          values.map((x, i) => x + (t * gradient[i]!) / length),
        )
        return loss()
      }
      const slope = ((await at(h)) - (await at(-h))) / (2 * h)
      engine.store.write(name, values)
      expect(Math.abs(slope - length), name).toBeLessThan(2e-3 * length + (2 * 2 ** -23 * 8) / h)
    }
    await engine.dispose()
  })

  it('have the same bits with 1, 2 and 3 threads, on the calling thread, and with the batch cut in chunks', async () => {
    const one = await train(1, [[0, 3]])
    const others = [
      await train(2, [[0, 3]]),
      await train(3, [[0, 3]]),
      await train(0, [[0, 3]]),
      await train(2, [
        [0, 1],
        [1, 3],
      ]),
      await train(3, [
        [0, 1],
        [1, 2],
        [2, 3],
      ]),
    ]
    for (const other of others) {
      expect(other.losses).toEqual(one.losses)
      for (const [name, values] of one.final) expect(other.final.get(name), name).toEqual(values)
    }
  })

  it('have the same bits whether a weight lies in a panel or in rows', async () => {
    const [panel, rows] = [await train(2, [[0, 3]]), await train(2, [[0, 3]], 'rows')]
    expect(rows.losses).toEqual(panel.losses)
    for (const [name, values] of panel.final) expect(rows.final.get(name), name).toEqual(values)
  })
})
