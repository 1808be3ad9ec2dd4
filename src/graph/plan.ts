import { Op, Plan as Layout, Slot } from '../../assembly/abi.ts'
import type { Graph, Node } from './graph.ts'
import { dimValues } from './graph.ts'
import { layoutArena } from './memory.ts'
import type { Dims, Tensor } from './tensor.ts'

/** Tile constants that the kernels export. */
export interface Tile {
  readonly mc: number
  readonly kc: number
  readonly nr: number
  /** Bytes of scratch that a rank needs for gemm and bmm. */
  readonly gemmScratch: number
}

/** Where a tensor lies in the arena. */
export interface Place {
  readonly offset: number
  readonly tensor: Tensor
}

/** A graph lowered for dims up to a bound: the records, and what the host must know to feed and read them. */
export interface Plan {
  /** Slot table and records, as they are copied into wasm memory. */
  readonly words: Int32Array<ArrayBuffer>
  readonly records: number
  /** It has ops that only training has. */
  readonly trains: boolean
  readonly bound: Dims
  readonly arenaBytes: number
  /** Private to each rank. */
  readonly scratchBytes: number
  readonly inputs: ReadonlyMap<string, Place>
  readonly outputs: ReadonlyMap<string, Place>
}

/**
 * Lowers a graph to records. `addressOf` gives the address of a parameter or state in the store; of those that `inBlock` gives a place for, records
 * name that from where Slot.Head points: a block of another address is run by the same plan.
 */
export function lower(
  graph: Graph,
  bound: Dims,
  tile: Tile,
  addressOf: (tensor: Tensor) => number,
  inBlock: (tensor: Tensor) => number | undefined = () => undefined,
): Plan {
  const arena = layoutArena(graph, bound)
  const words = new Int32Array(Layout.Slots + graph.nodes.length * Layout.Words)
  const floats = new Float32Array(words.buffer)
  let scratchBytes = 0
  words[Slot.Absolute] = 0
  graph.nodes.forEach((node, index) => {
    const at = Layout.Slots + index * Layout.Words
    words[at + Layout.Op] = node.op
    words[at + Layout.Mode] = node.mode
    words.set(node.dims, at + Layout.Dims)
    floats.set(node.floats, at + Layout.Floats)
    node.operands.forEach((tensor, i) => {
      if (tensor === null) return
      const inArena = arena.offsets.get(tensor)
      const place = inArena === undefined ? inBlock(tensor) : undefined
      words[at + Layout.Operands + 2 * i] = inArena !== undefined ? Slot.Arena : place !== undefined ? Slot.Head : Slot.Absolute
      words[at + Layout.Operands + 2 * i + 1] = inArena ?? place ?? addressOf(tensor)
    })
    scratchBytes = Math.max(scratchBytes, scratchOf(node, bound, tile))
  })
  const place = (tensor: Tensor): Place => ({ offset: arena.offsets.get(tensor)!, tensor })
  const inputs = graph.tensors.filter((t) => t.kind === 'input' && arena.offsets.has(t))
  return {
    words,
    records: graph.nodes.length,
    trains: graph.nodes.some(({ op }) => op === Op.Dropout || op === Op.DropoutMaps || (op >= Op.CrossEntropyGrad && op !== Op.GemmInt4)),
    bound,
    arenaBytes: arena.bytes,
    scratchBytes,
    inputs: new Map(inputs.map((t) => [t.name, place(t)])),
    outputs: new Map([...graph.outputs].map(([name, t]) => [name, place(t)])),
  }
}

/** Bytes of scratch that one rank needs for a record: as stated above the kernels. */
function scratchOf(node: Node, bound: Dims, { gemmScratch }: Tile): number {
  switch (node.op) {
    case Op.Gemm:
    case Op.GemmInt8:
    case Op.GemmInt4:
    case Op.Bmm:
    case Op.AttentionGrad:
      return gemmScratch
    case Op.Attention: {
      const [, d, , , longest] = dimValues(node, bound)
      return (longest! + 2 * d!) * 8 * 4 + 64
    }
    default:
      return 0
  }
}
