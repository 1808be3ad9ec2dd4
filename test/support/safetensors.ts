// Reads and writes whole safetensors files in memory: of its own, so that what src does is not its own judge.

export interface GoldenTensor {
  readonly dims: number[]
  readonly data: Float32Array | Int32Array
}

export interface FileTensor extends GoldenTensor {
  readonly dtype: string
}

interface Info {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

/** Every tensor of a file, in the header's order: F32 as floats, all else as the 32-bit integers that its bytes are. */
export function readSafetensors(file: Uint8Array): Map<string, FileTensor> {
  const length = new DataView(file.buffer, file.byteOffset).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<string, Info>
  const tensors = new Map<string, FileTensor>()
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [start, end] = data_offsets
    const { buffer } = new Uint8Array(file.subarray(8 + length + start, 8 + length + end))
    tensors.set(name, { dtype, dims: shape, data: dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer) })
  }
  return tensors
}

/** A file of F32 tensors. */
export function writeSafetensors(
  tensors: Iterable<readonly [name: string, dims: readonly number[], values: ArrayLike<number>]>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  const all = [...tensors]
  let at = 0
  for (const [name, shape, values] of all) {
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + values.length * 4] }
    at += values.length * 4
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(text.length / 8) * 8
  const file = new Uint8Array(8 + padded + at).fill(32, 8, 8 + padded)
  new DataView(file.buffer).setUint32(0, padded, true)
  file.set(text, 8)
  let place = (8 + padded) / 4
  const floats = new Float32Array(file.buffer)
  for (const [, , values] of all) {
    floats.set(values, place)
    place += values.length
  }
  return file
}
