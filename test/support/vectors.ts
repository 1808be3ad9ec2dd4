// What the tests of retrieval share: golden rankings, seeded vectors, the nearest by brute force, files in memory.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { EmbeddingIndex, type EmbeddingIndexOptions, type Hit } from '../../src/retrieval.ts'
import { Tensor } from '../../src/models/tensor.ts'
import type { Sink } from '../../src/weights/sink.ts'
import { random } from './random.ts'

interface Golden {
  corpus: number[][]
  queries: number[][]
  cos_sim: [number, number][][]
  dot_score: [number, number][][]
  pairs: [number, number, number][]
  grades: number[][]
  rank: number[][]
  metrics: Record<'ndcg10' | 'ndcg' | 'map' | 'recall20', number>
  texts: string[]
  bm25: { query: string; k1: number; b: number; hits: [number, number][] }[]
}
export const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, '../golden/retrieval/golden.json'), 'utf8')) as Golden
/** Rounding of a sum of so many products below 1, and of the lengths. */
const EPS = 2 ** -24
export const near = (width: number): number => 2 * (width + 4) * EPS

/** Files as they are written, in memory. */
export function memory(): { sink: Sink; files: Record<string, Uint8Array> } {
  const files: Record<string, Uint8Array> = {}
  const write = async (name: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> => {
    const parts: Uint8Array[] = []
    for await (const piece of pieces) parts.push(piece)
    files[name] = new Uint8Array(Buffer.concat(parts))
  }
  return { sink: { write }, files }
}

export const WIDTH = 48
const next = random(3)
export const vectors = (count: number, width = WIDTH): Float32Array => Float32Array.from({ length: count * width }, () => next() * 2 - 1)
export const tensor = (data: Float32Array, width = WIDTH): Tensor => new Tensor(Float32Array.from(data), [data.length / width, width])

/** The k rows of the largest cosines in float64, by brute force. */
export function nearest(data: Float32Array, query: Float32Array, k: number, width = WIDTH): { id: number; score: number }[] {
  const cosine = (row: number): number => {
    let [ab, aa, bb] = [0, 0, 0]
    for (let i = 0; i < width; i++) {
      const [a, b] = [data[row * width + i]!, query[i]!]
      ab += a * b
      aa += a * a
      bb += b * b
    }
    return ab / Math.sqrt(aa * bb)
  }
  return Array.from({ length: data.length / width }, (_, id) => ({ id, score: cosine(id) }))
    .sort((a, b) => b.score - a.score || a.id - b.id)
    .slice(0, k)
}

export const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)
export async function indexOf(data: Float32Array, options: EmbeddingIndexOptions = {}): Promise<EmbeddingIndex> {
  const index = new EmbeddingIndex({ threads: 1, ...options })
  await index.add(numbers(data.length / WIDTH), tensor(data))
  return index
}
export const ids = (hits: readonly Hit[]): unknown[] => hits.map(({ id }) => id)
