// THE table of op cases: parity on every build, gradients against finite differences, 1..4 threads, guard zones, and benchmarks.
import type { OpCase } from './op-cases/case.ts'
import { attention } from './op-cases/attention.ts'
import { dropout } from './op-cases/dropout.ts'
import { elementwise, optimizer, reductions, squares } from './op-cases/elements.ts'
import { int4Products } from './op-cases/int4.ts'
import { int8Embedding, int8Gradients, int8Products, quantize } from './op-cases/int8.ts'
import { elementLosses, losses, spanLosses } from './op-cases/losses.ts'
import { pairs } from './op-cases/pairs.ts'
import { bmm, gemm } from './op-cases/products.ts'
import { embedding, layerNorm, softmax } from './op-cases/rows.ts'

export type { OpCase }

export function opCases(): OpCase[] {
  return [
    ...gemm(),
    ...bmm(),
    ...attention(),
    ...softmax(),
    ...layerNorm(),
    ...embedding(),
    ...int8Products(),
    ...int8Gradients(),
    ...int4Products(),
    ...quantize(),
    ...int8Embedding(),
    ...elementwise(),
    ...reductions(),
    ...dropout(),
    ...losses(),
    ...spanLosses(),
    ...elementLosses(),
    ...pairs(),
    ...optimizer(),
    ...squares(),
  ]
}
