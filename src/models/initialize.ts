import type { Store, Weight } from '../engine/store.ts'
import { expected } from '../errors.ts'
import type { ParameterSpec } from './parameters.ts'

/** Checks a seed: as many as 53 bits, so that a number of JavaScript holds it. */
export function checkSeed(seed: number): number {
  if (Number.isSafeInteger(seed) && seed >= 0) return seed
  throw expected('seed', 'a whole number from 0 to 2^53 - 1', seed)
}

/**
 * Fresh values as Hugging Face's `_init_weights`: matrices and tables normal with `deviation` (`initializer_range`), biases 0, LayerNorm 1,
 * the padding token's row 0. They depend on the seed and the parameter's name alone.
 */
export function initialize(store: Store, weight: Weight, spec: ParameterSpec, deviation: number, seed: number, row0 = 0): void {
  const { init, name, zeroRow, shape } = spec
  if (init === 'normal') store.fillNormal(weight, { seed, stream: streamOf(name), deviation, row0 })
  else if (init === 'ones') store.write(weight.name, new Float32Array(shape[0]!).fill(1))
  if (zeroRow !== undefined && zeroRow >= row0) store.writeRows(weight.name, zeroRow, new Float32Array(shape.at(-1)!))
}

/** FNV-1a of a name. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash
}
