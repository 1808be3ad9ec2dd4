import { oneOf } from '../errors.ts'

export const SCHEDULES = ['linear', 'cosine', 'constant', 'constant_with_warmup'] as const
export type SchedulerType = (typeof SCHEDULES)[number]

export interface Schedule {
  /** The peak. */
  readonly learning_rate: number
  readonly lr_scheduler_type: SchedulerType
  /** Whole steps in which the rate rises from 0; `constant` has none. */
  readonly warmup_steps: number
  readonly total_steps: number
}

/** The learning rate of a step, counted from 0, as the get_*_schedule functions of Hugging Face transformers have it. */
export function learningRateAt(step: number, { learning_rate, lr_scheduler_type, warmup_steps, total_steps }: Schedule): number {
  oneOf('lr_scheduler_type', lr_scheduler_type, SCHEDULES)
  if (lr_scheduler_type === 'constant') return learning_rate
  if (step < warmup_steps) return learning_rate * (step / Math.max(1, warmup_steps))
  const rest = Math.max(1, total_steps - warmup_steps)
  switch (lr_scheduler_type) {
    case 'linear':
      return learning_rate * Math.max(0, (total_steps - step) / rest)
    case 'cosine':
      return learning_rate * Math.max(0, 0.5 * (1 + cosineOfHalfTurns((step - warmup_steps) / rest)))
    case 'constant_with_warmup':
      return learning_rate
  }
}

/** cos(pi x) for x >= 0, the same on every engine: Taylor's series of the sine up to pi / 2, where the first term left out is 2e-18. */
export function cosineOfHalfTurns(x: number): number {
  const turn = x % 2
  const angle = Math.PI * (0.5 - (turn > 1 ? 2 - turn : turn))
  const square = angle * angle
  let sum = 1
  for (let k = 20; k >= 2; k -= 2) sum = 1 - (square / (k * (k + 1))) * sum
  return angle * sum
}
