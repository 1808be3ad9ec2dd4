// Writing the safetensors format; safetensors.ts reads it.
import { expected, show } from '../errors.ts'
import { BITS, byteLength, type Dtype } from './safetensors.ts'

/** A tensor to be written; `data` is asked for when its turn comes, so that only one need be in memory, or a piece of one. */
export interface TensorToWrite {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: Uint8Array | (() => Uint8Array | Iterable<Uint8Array>)
}

/**
 * The pieces of a safetensors file, in order. Like the reference writer: wide dtypes first, then by name, the header padded to 8 bytes.
 * Hugging Face transformers 4 refuses a file without `format: pt`.
 */
export function* writeSafetensors(
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Generator<Uint8Array> {
  const sorted = [...tensors].sort((a, b) => BITS[b.dtype] - BITS[a.dtype] || (a.name < b.name ? -1 : 1))
  let at = 0
  const entries = sorted.map(({ name, dtype, shape }): [string, object] => {
    const start = at
    at += byteLength(dtype, shape)
    return [name, { dtype, shape, data_offsets: [start, at] }]
  })
  const twice = sorted.find(({ name }, i) => sorted[i + 1]?.name === name)
  if (twice !== undefined) throw expected('writeSafetensors', 'every name once', twice.name)
  const text = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }))
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true)
  head.set(text, 8)
  yield head
  for (const { name, dtype, shape, data } of sorted) {
    const given = typeof data === 'function' ? data() : data
    let size = 0
    for (const bytes of given instanceof Uint8Array ? [given] : given) {
      size += bytes.length
      yield bytes
    }
    const wanted = byteLength(dtype, shape)
    if (size !== wanted) throw expected(`tensor ${show(name)}`, `${wanted} bytes for ${dtype} [${shape.join(', ')}]`, size)
  }
}
