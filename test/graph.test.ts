import { describe, expect, it } from 'vitest'
import { Activation, Op, Plan as Layout, RowMode, Slot } from '../assembly/abi.ts'
import { gradients } from '../src/graph/gradients.ts'
import { Graph, reads, writes } from '../src/graph/graph.ts'
import { fuse } from '../src/graph/fuse.ts'
import { layoutArena } from '../src/graph/memory.ts'
import { crossEntropy } from '../src/graph/losses.ts'
import { activation, add, gather, linear } from '../src/graph/ops.ts'
import { lower } from '../src/graph/plan.ts'
import { RECORDS } from '../src/graph/records.ts'
import { OFFSETS, SELECTED, SEQUENCES, TOKENS, words, type Dims, type Tensor } from '../src/graph/tensor.ts'
import { verify, type Region } from '../src/graph/verify.ts'
import { bert, Parameters, pooler } from '../src/models/bert.ts'
import { BertConfig } from '../src/models/config.ts'

const config = BertConfig.parse(
  JSON.stringify({
    model_type: 'bert',
    vocab_size: 50,
    hidden_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    intermediate_size: 40,
    max_position_embeddings: 64,
  }),
)
const dims: Dims = { tokens: 64, sequences: 4, longest: 32, squares: 2048, selected: 4 }
const TRUNK = { wordTable: 'rows' } as const
const tile = { mc: 128, kc: 512, nr: 8, gemmScratch: 300_000 }

function model(attention: 'eager' | 'sdpa', { hidden = false, firstOnly = false } = {}): Graph {
  const g = new Graph()
  const encoded = bert(g, config, TRUNK, { attention, firstOnly, inference: true })
  g.output('last', encoded.hidden.at(-1)!)
  if (hidden) encoded.hidden.forEach((tensor, i) => g.output(`hidden.${i}`, tensor))
  g.output('pooled', pooler(g, new Parameters(g), config, encoded.hidden.at(-1)!))
  fuse(g)
  return g
}

/** Every parameter at a place of its own; returns the addresses and the regions. */
function place(g: Graph, writable = false): { addressOf: (t: Tensor) => number; regions: Region[] } {
  const addresses = new Map<Tensor, number>()
  const regions: Region[] = []
  let at = 4096
  for (const tensor of g.tensors) {
    if (tensor.kind !== 'parameter' && tensor.kind !== 'state') continue
    const end = at + words(tensor, dims) * 4
    addresses.set(tensor, at)
    regions.push({ start: at, end, writable })
    at = end + 64
  }
  return { addressOf: (tensor) => addresses.get(tensor)!, regions }
}

function trainingGraph(): Graph {
  const g = new Graph()
  const x = g.input('x', [TOKENS, 16], 'f32')
  const w = g.parameter('w', [16, 16], 'panel')
  const b = g.parameter('b', [16])
  const h = activation(g, linear(g, x, w, b), Activation.Gelu)
  // h is read three times, so its gradient is first borrowed, then copied, then added to.
  const twice = add(g, h, add(g, h, linear(g, h, w, b)))
  const rows = gather(g, twice, g.input('index', [SELECTED]))
  const loss = crossEntropy(g, rows, g.input('labels', [SELECTED]), g.input('scale', [1], 'f32'), g.state('loss', [1]))
  gradients(g, [loss])
  return g
}

describe('the arena', () => {
  for (const [name, graph] of [
    ['sdpa', model('sdpa')],
    ['first tokens', model('sdpa', { firstOnly: true })],
    ['eager', model('eager', { hidden: true })],
    ['training', trainingGraph()],
  ] as const) {
    it(`never gives two living tensors one byte (${name})`, () => {
      const { offsets, bytes } = layoutArena(graph, dims)
      // Walks the records with the owner of every word: a tensor that is read must still own all of its words.
      const owner = new Int32Array(bytes / 4).fill(-1)
      const span = (t: Tensor): [number, number] => [offsets.get(t)! / 4, offsets.get(t)! / 4 + words(t, dims)]
      const own = (t: Tensor): void => void owner.fill(t.id, ...span(t))
      const check = (t: Tensor): void => {
        const [start, end] = span(t)
        for (let i = start; i < end; i++) if (owner[i] !== t.id) throw new Error(`tensor ${t.id} ${t.name} lost word ${i} to ${owner[i]}`)
      }
      const inArena = (t: Tensor): boolean => t.kind === 'input' || t.kind === 'value'
      graph.tensors.filter((t) => t.kind === 'input' && offsets.has(t)).forEach(own)
      for (const node of graph.nodes) {
        reads(node).filter(inArena).forEach(check)
        writes(node).filter(inArena).forEach(own)
      }
      for (const t of graph.outputs.values()) check(t)
    })
  }

  it('reuses places: the arena of many layers is not larger than that of two', () => {
    const layers = (n: number): number => {
      const g = new Graph()
      g.output('last', bert(g, Object.assign(Object.create(config) as BertConfig, { num_hidden_layers: n }), TRUNK).hidden.at(-1)!)
      fuse(g)
      return layoutArena(g, dims).bytes
    }
    expect(layers(8)).toBe(layers(2))
  })
})

describe('fusing', () => {
  const ops = (g: Graph): Op[] => g.nodes.map((node) => node.op)

  it('leaves one record for embeddings and seven for a layer', () => {
    const g = model('sdpa')
    const layer = [Op.Gemm, Op.Gemm, Op.Gemm, Op.Attention, Op.Gemm, Op.LayerNorm, Op.Gemm, Op.Gemm, Op.LayerNorm]
    expect(ops(g)).toEqual([Op.Embedding, ...layer, ...layer, ...layer, Op.Gather, Op.Gemm])
    expect(g.nodes[0]!.mode & RowMode.Fused).toBe(RowMode.Fused)
    expect(g.nodes.filter((n) => n.op === Op.Gemm).map((n) => n.mode & Activation.Mask)).toEqual([
      ...Array.from({ length: 3 }, () => [0, 0, 0, 0, Activation.Gelu, 0]).flat(),
      Activation.Tanh,
    ])
  })

  it.each([
    ['sdpa', 2],
    ['eager', 3],
  ] as const)('computes of the last layer, where first tokens are asked for, %s, what they need', (attention, whole) => {
    const all = model(attention).nodes.filter(({ op }) => op === Op.Gemm)
    const few = model(attention, { firstOnly: true }).nodes.filter(({ op }) => op === Op.Gemm)
    // Keys and values of all tokens, with eager queries too; queries, output and the feed-forward network of one a sequence.
    expect(all.filter(({ dims: [rows] }) => rows === TOKENS)).toHaveLength(18)
    expect(few.filter(({ dims: [rows] }) => rows === TOKENS)).toHaveLength(12 + whole)
    expect(few.filter(({ dims: [rows] }) => rows === SEQUENCES)).toHaveLength(18 - 12 - whole + 1)
  })

  it('keeps the chain of attention when asked for eager', () => {
    const g = model('eager')
    expect(ops(g)).not.toContain(Op.Attention)
    expect(ops(g).filter((op) => op === Op.Softmax)).toHaveLength(3)
  })

  it('does not fuse away what the caller asked for', () => {
    const g = new Graph()
    const { hidden, attentions } = bert(g, config, TRUNK, { attention: 'eager' })
    attentions.forEach((tensor, i) => g.output(`attentions.${i}`, tensor))
    g.output('last', hidden.at(-1)!)
    fuse(g)
    expect(attentions).toHaveLength(3)
    for (const t of g.outputs.values()) expect(g.nodes.some((node) => writes(node).includes(t))).toBe(true)
  })
})

describe('the verifier', () => {
  const graph = model('sdpa')
  const { addressOf, regions } = place(graph)
  const fresh = (): ReturnType<typeof lower> => lower(graph, dims, tile, addressOf)
  const word = (record: number, field: number): number => Layout.Slots + record * Layout.Words + field

  it('passes what the planner makes', () => {
    expect(() => verify(fresh(), regions)).not.toThrow()
    const training = trainingGraph()
    const placed = place(training, true)
    expect(() => verify(lower(training, dims, tile, placed.addressOf), placed.regions)).not.toThrow()
  })

  const broken: Record<string, [field: number, value: number, message: RegExp]> = {
    'an unknown op': [Layout.Op, 99, /unknown op/],
    'a dimension slot that is none': [Layout.Dims, ~Slot.Arena, /names slot/],
    'a dimension that is too large': [Layout.Dims + 1, 1 << 20, /lies in no weight|ends at/],
    'an operand past the arena': [Layout.Operands + 1, 1 << 28, /ends at/],
    'an operand that is not aligned': [Layout.Operands + 1, 2, /aligned/],
    'an absent operand': [Layout.Operands, Slot.None, /absent/],
    'an operand with no base': [Layout.Operands, Slot.Tokens, /base slot/],
    'a weight outside the store': [Layout.Operands + 3, 16, /lies in no weight/],
  }
  for (const [name, [field, value, message]] of Object.entries(broken)) {
    it(`refuses ${name}`, () => {
      const plan = fresh()
      plan.words[word(1, field)] = value // record 1 is the first GEMM
      expect(() => verify(plan, regions)).toThrow(message)
    })
  }

  it('refuses one operand too many, and a write to a frozen weight', () => {
    const plan = fresh()
    plan.words[word(1, Layout.Operands + 2 * RECORDS[Op.Gemm]!.operands.length)] = Slot.Arena
    expect(() => verify(plan, regions)).toThrow(/one too many/)
    const training = trainingGraph()
    const { addressOf: at, regions: frozen } = place(training, false)
    expect(() => verify(lower(training, dims, tile, at), frozen)).toThrow(/frozen/)
  })
})

it('every record of the ABI has a type, and its extents match its operands', () => {
  for (const [op, { operands, extents }] of Object.entries(RECORDS)) {
    const sizes = extents([8, 8, 8, 8, 8, 8], 0)
    expect(sizes, `op ${op}`).toHaveLength(operands.length)
    expect(sizes.every((n) => Number.isInteger(n) && n > 0)).toBe(true)
  }
  expect(OFFSETS).toBeLessThan(0)
})
