// Known answers of the relaxed instructions that a build uses: the specification leaves them a choice, and the kernels rely on one.

import { dot4, fma } from './simd'

// Operands come from memory, or the compiler would answer in place of the engine.
const CASES = memory.data<f32>([
  // a, b, c of multiply-adds: (1 + 2^-12)^2 - 1 - 2^-11 is 2^-24 in one rounding and 0 in two.
  1.000244140625, 1.000244140625, -1.00048828125, 5.9604644775390625e-8,
  // Exact either way.
  3, 5, 7, 22, -2, 0.5, 1, 0,
  // 0.1 * 10 - 1 in one rounding.
  0.1, 10, -1, 1.4901161193847656e-8,
])
const COUNT: usize = 4

// Signed bytes, bytes of 0..127, and the sums of four products with 5 added: the largest ones, for engines that add two of them in 16 bits.
const BYTES = memory.data<u32>([
  0x7f7f7f7f, 0x80808080, 0x807f01ff, 0x04030201, 0x7f7f7f7f, 0x7f7f7f7f, 0x7f017f7f, 0x08070605, 64521, 0xffff0205, 0xffffc104, 75,
])

/** 0, or the number of the first instruction of which the engine makes something else: 1 for relaxed_madd, 2 for relaxed_dot. */
export function selfTest(): i32 {
  if (isDefined(FAST)) {
    for (let i: usize = 0; i < COUNT; i++) {
      const at = CASES + (i << 4)
      const x = v128.load32_splat(at)
      const y = v128.load32_splat(at, 4)
      const z = v128.load32_splat(at, 8)
      // All four lanes are compared.
      if (!i32x4.all_true(f32x4.eq(fma(x, y, z), v128.load32_splat(at, 12)))) return 1
    }
  }
  if (ASC_FEATURE_RELAXED_SIMD) {
    const sums = dot4(v128.load(BYTES), v128.load(BYTES, 16), i32x4.splat(5))
    if (!i32x4.all_true(i32x4.eq(sums, v128.load(BYTES, 32)))) return 2
  }
  return 0
}
