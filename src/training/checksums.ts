// Checksums of a checkpoint's files, so that a bit that has flipped on the disk is not trained on: one number for each piece of a file, which are
// header and tensors of a safetensors file, and the whole of any other.
import { show } from '../errors.ts'
import { readHeader } from '../weights/safetensors.ts'
import type { Source } from '../weights/source.ts'

/** What is wrong with a file of a checkpoint, and what to do. */
type Refuse = (subject: string, wanted: string, got: string) => Error

/**
 * Every step is a bijection of the sum so far, and of the word: a change within one word always shows. Four bytes a step: far faster than disks. Of bytes in
 * pieces, all but the last of a multiple of four, `sum` is that of the pieces before, and at first the bytes of all.
 */
export function checksum(bytes: Uint8Array, sum = bytes.length): number {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2)
  const mix = (value: number): void => {
    const product = Math.imul(sum ^ value, 0x5bd1e995)
    sum = (product << 13) | (product >>> 19)
  }
  for (let i = 0; i < words.length; i++) mix(words[i]!)
  for (let i = words.length * 4; i < bytes.length; i++) mix(bytes[i]!)
  return sum >>> 0
}

/** Holds every file that `sums` names against it. */
export async function verifyFiles(source: Source, folder: string, sums: Readonly<Record<string, unknown>>, refuse: Refuse): Promise<void> {
  for (const [name, wanted] of Object.entries(sums)) {
    const file = `${folder}/${name}`
    const reader = await source.open(name)
    if (reader === undefined) throw refuse(file, 'a file that the Trainer wrote', 'none')
    try {
      const tensors = name.endsWith('.safetensors') ? [...(await readHeader(reader, file)).tensors.values()] : []
      const spans = [{ name: '', start: 0, end: tensors[0]?.start ?? reader.size }, ...tensors]
      for (const [i, { name: tensor, start, end }] of spans.entries()) {
        const found = checksum(await reader.read(start, end))
        const known = Array.isArray(wanted) ? (wanted as unknown[])[i] : undefined
        if (found !== known)
          throw refuse(i > 0 ? `${file}: tensor "${tensor}"` : file, `bytes with the checksum ${show(known)}`, `${found}`)
      }
    } finally {
      await reader.close()
    }
  }
}
