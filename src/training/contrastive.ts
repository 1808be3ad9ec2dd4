// The first half of SetFit (Tunstall and others 2022): pairs of texts, of one class or of two, tune the trunk by their cosines.
import { checkOptions, expected } from '../errors.ts'
import type { BertModel } from '../models/bert-model.ts'
import { RandomStream } from './random.ts'
import { learningRateAt } from './schedule.ts'
import { SentenceTraining } from './sentence-training.ts'

/** With setfit's names and defaults. */
export interface ContrastiveOptions {
  /** 1. */
  readonly num_epochs?: number
  /** -1. When 1 or more, the most steps. */
  readonly max_steps?: number
  /** 16 pairs. */
  readonly batch_size?: number
  /** 2e-5, the most of a linear schedule. */
  readonly body_learning_rate?: number
  /** 0.1: the share of all steps in which the rate rises. */
  readonly warmup_proportion?: number
  /** 0.01: AdamW's decay. */
  readonly l2_weight?: number
  /** 42: of the pairs' order and of dropout. */
  readonly seed?: number
  /** Told after each step. */
  readonly onStep?: (step: { readonly step: number; readonly total: number; readonly loss: number }) => void
}

const DEFAULTS = {
  num_epochs: 1,
  max_steps: -1,
  batch_size: 16,
  body_learning_rate: 2e-5,
  warmup_proportion: 0.1,
  l2_weight: 0.01,
  seed: 42,
} as const

type Settled = Required<Omit<ContrastiveOptions, 'onStep'>> & Pick<ContrastiveOptions, 'onStep'>

/** Checks the options and gives their defaults. */
export function contrastiveDefaults(options: ContrastiveOptions): Settled {
  checkOptions('contrastive', options, [...Object.keys(DEFAULTS), 'onStep'])
  const all: Settled = { ...DEFAULTS, ...options }
  const check = (name: keyof typeof DEFAULTS, wanted: string, good: (x: number) => boolean): void => {
    if (!(typeof all[name] === 'number' && good(all[name]))) throw expected(`contrastive.${name}`, wanted, all[name])
  }
  const positive = (x: number): boolean => x > 0 && x < Infinity
  check('num_epochs', 'a number above 0', positive)
  check('max_steps', 'a whole number of 1 or more, or -1', (x) => x === -1 || (Number.isInteger(x) && x >= 1))
  check('batch_size', 'a whole number of 1 or more', (x) => Number.isInteger(x) && x >= 1)
  check('body_learning_rate', 'a number above 0', positive)
  check('warmup_proportion', 'a number from 0 to 1', (x) => x >= 0 && x <= 1)
  check('l2_weight', 'a number from 0 to 1', (x) => x >= 0 && x <= 1)
  check('seed', 'a whole number of 0 or more', (x) => Number.isSafeInteger(x) && x >= 0)
  return all
}

/** In the counter's last word, beside those of dataset.ts and pretraining-data.ts. */
const PAIRS = 0x64_00_00_05

export type ContrastivePair = readonly [first: number, second: number, label: 0 | 1]

/**
 * Every pair of texts, each with itself too: those of one class have label 1, others 0; the fewer of the two come again until there are as many, as
 * setfit's 'oversampling'. In random order.
 */
export function contrastivePairs(classes: ArrayLike<number>, seed: number, epoch = 0): ContrastivePair[] {
  const random = new RandomStream(seed, [0, epoch, PAIRS])
  const kinds: [number, number][][] = [[], []]
  for (let i = 0; i < classes.length; i++) for (let j = i; j < classes.length; j++) kinds[classes[i] === classes[j] ? 1 : 0]!.push([i, j])
  for (const kind of kinds) random.shuffle(kind)
  const most = Math.max(...kinds.map(({ length }) => length))
  const all = ([0, 1] as const).flatMap((label) => {
    const kind = kinds[label]!
    return Array.from({ length: most }, (_, i): ContrastivePair => [...kind[i % kind.length]!, label])
  })
  return random.shuffle(all)
}

interface Rows {
  readonly input_ids: readonly ArrayLike<number>[]
  readonly attention_mask: readonly ArrayLike<number>[]
}

/** Tunes the trunk of a model in place. */
export async function tuneByPairs(
  model: BertModel,
  { input_ids, attention_mask }: Rows,
  classes: ArrayLike<number>,
  options: Settled & { readonly pooling: 'mean' | 'cls' },
  signal?: AbortSignal,
): Promise<void> {
  const { num_epochs, max_steps, batch_size, body_learning_rate, warmup_proportion, l2_weight, seed, pooling, onStep } = options
  const perEpoch = Math.ceil(contrastivePairs(classes, seed).length / batch_size)
  const all = Math.ceil(num_epochs * perEpoch)
  const total_steps = max_steps === -1 ? all : Math.min(all, max_steps)
  const schedule = {
    learning_rate: body_learning_rate,
    lr_scheduler_type: 'linear',
    warmup_steps: Math.ceil(warmup_proportion * total_steps),
    total_steps,
  } as const
  const settings = { weight_decay: l2_weight, max_grad_norm: 1, seed }
  const training = new SentenceTraining(model, { loss: 'CosineSimilarityLoss', pooling }, settings)
  try {
    let pairs: ContrastivePair[] = []
    for (let step = 0; step < total_steps; step++) {
      if (step % perEpoch === 0) pairs = contrastivePairs(classes, seed, step / perEpoch)
      const own = pairs.slice((step % perEpoch) * batch_size, ((step % perEpoch) + 1) * batch_size)
      const of = (rows: readonly ArrayLike<number>[]): ArrayLike<number>[][] => own.map(([a, b]) => [rows[a]!, rows[b]!])
      const batch = { input_ids: of(input_ids), attention_mask: of(attention_mask), labels: own.map(([, , label]) => label) }
      const { loss } = await training.step(batch as never, learningRateAt(step, schedule), signal ? { signal } : {})
      onStep?.({ step: step + 1, total: total_steps, loss })
    }
  } finally {
    await training.dispose()
  }
}
