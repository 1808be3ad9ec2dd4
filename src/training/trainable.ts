import { oneOf } from '../errors.ts'

/**
 * Which parameters are trained, by Hugging Face's names without `bert.`, or one of three kinds: `all`; `head`, what stands on the encoder, with the pooler;
 * `bias`, every bias and the head (BitFit).
 */
export type Trainable = ((name: string) => boolean) | keyof typeof KINDS

const isHead = (name: string): boolean => !/^(embeddings|encoder)\./.test(name)

const KINDS = {
  all: () => true,
  head: isHead,
  bias: (name: string) => isHead(name) || name.endsWith('bias'),
}

export function trainableOf(trainable: Trainable = 'all'): (name: string) => boolean {
  if (typeof trainable === 'function') return trainable
  return KINDS[oneOf('trainable', trainable, Object.keys(KINDS) as (keyof typeof KINDS)[], "'all', 'head', 'bias' or a function of a name")]
}
