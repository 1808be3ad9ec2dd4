import type { Graph } from './graph.ts'
import { accumulatesInto, reads, writes } from './graph.ts'
import { RECORDS } from './records.ts'
import { words, type Dims, type Tensor } from './tensor.ts'

/** Every buffer starts on a cache line. */
export const ALIGNMENT = 64

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

export interface ArenaLayout {
  /** Byte offset of every input and value. */
  readonly offsets: ReadonlyMap<Tensor, number>
  readonly bytes: number
}

interface Interval {
  readonly tensor: Tensor
  readonly bytes: number
  from: number
  to: number
}

/**
 * Places inputs and values in one arena for the largest dims: tensors whose lives overlap never share a byte.
 * Inputs live from the start, outputs to the end; large buffers are placed first, each at the lowest place that is free all its life.
 */
export function layoutArena(graph: Graph, dims: Dims): ArenaLayout {
  const { intervals, leader } = lifetimes(graph, dims)
  const order = [...intervals].sort((a, b) => b.bytes - a.bytes || a.from - b.from || a.tensor.id - b.tensor.id)
  const placed: { at: number; interval: Interval }[] = [] // by place
  const offsets = new Map<Tensor, number>()
  let total = 0
  for (const interval of order) {
    let at = 0
    for (const { at: start, interval: other } of placed) {
      if (other.from > interval.to || interval.from > other.to) continue
      if (at + interval.bytes <= start) break
      at = Math.max(at, start + other.bytes)
    }
    const next = placed.findIndex((other) => other.at > at)
    placed.splice(next < 0 ? placed.length : next, 0, { at, interval })
    offsets.set(interval.tensor, at)
    total = Math.max(total, at + interval.bytes)
  }
  for (const [tensor, other] of leader) offsets.set(tensor, offsets.get(other)!)
  return { offsets, bytes: total }
}

function lifetimes(graph: Graph, dims: Dims): { intervals: Interval[]; leader: Map<Tensor, Tensor> } {
  const live = new Map<Tensor, Interval>()
  const leader = new Map<Tensor, Tensor>() // tensors that took another's place -> whose
  const end = graph.nodes.length
  const touch = (tensor: Tensor, at: number): void => {
    if (tensor.kind !== 'input' && tensor.kind !== 'value') return
    const interval = live.get(tensor)
    if (interval === undefined) {
      const from = tensor.kind === 'input' ? -1 : at
      live.set(tensor, { tensor, bytes: align(words(tensor, dims) * 4), from, to: at })
    } else interval.to = at
  }
  graph.nodes.forEach((node, at) => [...reads(node), ...writes(node)].forEach((tensor) => touch(tensor, at)))
  for (const tensor of graph.outputs.values()) touch(tensor, end)

  // An output may take the place of an input that ends here.
  graph.nodes.forEach((node, at) => {
    const pair = RECORDS[node.op]!.inPlace
    if (pair === undefined || accumulatesInto(node)) return
    const [output, input] = [node.operands[pair[0]], node.operands[pair[1]]]
    if (!output || !input || output.kind !== 'value' || input.kind !== 'value' || output === input) return
    const a = live.get(leader.get(input) ?? input)!
    const b = live.get(output)!
    if (a.to !== at || b.from !== at || a.bytes !== b.bytes || leader.has(output)) return
    leader.set(output, a.tensor)
    a.to = b.to
    live.delete(output)
    // Later look-ups of the output find its leader.
  })
  return { intervals: [...live.values()], leader }
}
