// Reads the golden files that test/golden/generate.py wrote. A safetensors reader of its own, so that ours is not its own judge.
import { readFile } from 'node:fs/promises'
import path from 'node:path'

export interface GoldenTensor {
  readonly dims: number[]
  readonly data: Float32Array | Int32Array
}

export interface Golden {
  readonly folder: string
  readonly json: Record<string, unknown>
  readonly tensors: ReadonlyMap<string, GoldenTensor>
}

export async function readGolden(name: string): Promise<Golden> {
  const folder = path.join(import.meta.dirname, '../golden', name)
  const json = JSON.parse(await readFile(path.join(folder, 'golden.json'), 'utf8')) as Record<string, unknown>
  const file = await readFile(path.join(folder, 'golden.safetensors'))
  const length = file.readUInt32LE(0)
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const tensors = new Map<string, GoldenTensor>()
  for (const [tensor, info] of Object.entries(header)) {
    if (tensor === '__metadata__') continue
    const [start, end] = info.data_offsets.map((at) => 8 + length + at) as [number, number]
    const bytes = new Uint8Array(file.subarray(start, end)).buffer
    tensors.set(tensor, { dims: info.shape, data: info.dtype === 'I32' ? new Int32Array(bytes) : new Float32Array(bytes) })
  }
  return { folder, json, tensors }
}
