// Hugging Face's tensor names and ours. Ours are those of BertModel: without the `bert.` that models with a head put before the trunk's names.
import { BertletError } from '../errors.ts'

const TRUNK = /^(embeddings|encoder|pooler)\./
/** Buffers of old checkpoints that hold no parameter. */
const IGNORED = new Set(['embeddings.position_ids'])
/** What TensorFlow called LayerNorm's parameters. */
const OLD = [
  [/LayerNorm\.gamma$/, 'LayerNorm.weight'],
  [/LayerNorm\.beta$/, 'LayerNorm.bias'],
] as const

/** Our name of a file's tensor. */
export function fromHuggingFace(name: string, prefix = 'bert.'): string {
  const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name
  return OLD.reduce((text, [old, now]) => text.replace(old, now), bare)
}

/** The name that a file has: the trunk's get the prefix, which is '' for a BertModel of its own. */
export function toHuggingFace(name: string, prefix: '' | 'bert.' = ''): string {
  return TRUNK.test(name) ? prefix + name : name
}

/** A tensor that is looked for, by our name or, where that is absent, by another. */
export interface WantedName {
  readonly name: string
  readonly aliases?: readonly string[]
}

export interface Matched<T> {
  /** By our name. */
  readonly found: ReadonlyMap<string, T>
  /** Our names. */
  readonly missing: string[]
  /** The file's names. */
  readonly unexpected: string[]
}

/** Finds the wanted tensors among a file's. */
export function matchNames<T extends { readonly name: string }>(
  tensors: Iterable<T>,
  wanted: readonly WantedName[],
  prefix?: string,
): Matched<T> {
  const all = new Map<string, T>()
  for (const tensor of tensors) {
    const name = fromHuggingFace(tensor.name, prefix)
    const other = all.get(name)
    if (other !== undefined) {
      const both = other.name === tensor.name ? `two tensors ${tensor.name}` : `${other.name} and ${tensor.name}, which mean the same`
      throw new BertletError('invalid_file', `weights: expected one tensor for ${name}, got ${both}`, 'Export the checkpoint again')
    }
    all.set(name, tensor)
  }
  const found = new Map<string, T>()
  const known = new Set(IGNORED)
  for (const { name, aliases = [] } of wanted) {
    const present = [name, ...aliases].find((candidate) => all.has(candidate))
    if (present !== undefined) found.set(name, all.get(present)!)
    for (const candidate of [name, ...aliases]) known.add(candidate)
  }
  return {
    found,
    missing: wanted.filter(({ name }) => !found.has(name)).map(({ name }) => name),
    unexpected: [...all].filter(([name]) => !known.has(name)).map(([, tensor]) => tensor.name),
  }
}
