// Transcendentals on four lanes: polynomials of our own, so the same bits on every engine. Bounds are measured by test/math.test.ts.
import { Activation } from './abi'
import { fma } from './simd'

// Engines rebuild v128 constants inside loops; a splat from a table is one load.
const TABLE = memory.data<f32>([
  // exp
  1.44269504088896341,
  -0.693359375,
  2.1219444e-4, // 0..2: log2 e, -ln 2 in two parts
  1.98756915e-4,
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1, // 3..8
  1.0,
  -87.33654,
  88.376259, // 9..11
  // erfc
  0.5,
  0.70710678118654752,
  -1.26551223,
  1.00002368,
  0.37409196,
  0.09678418, // 12..17
  -0.18628806,
  0.27886807,
  -1.13520398,
  1.48851587,
  -0.82215223,
  0.17087277, // 18..23
  // tanh
  -5.70498872745e-3,
  2.06390887954e-2,
  -5.37397155531e-2,
  1.33314422036e-1,
  -3.33332819422e-1,
  0.625,
  -2.0, // 24..30
  // log
  7.0376836292e-2,
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1, // 31..35
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
  -2.1219444e-4,
  0.693359375,
  0.70710678118654752, // 36..42
  // gelu by tanh, quick gelu, densities
  0.7978845608028654,
  0.044715,
  1.702,
  0.3989422804014327,
  0.134145, // 43..47
])

// @ts-ignore: decorator
@inline
function c(index: usize): v128 {
  return v128.load32_splat(TABLE + (index << 2))
}

// @ts-ignore: decorator
@inline
function poly(x: v128, sum: v128, index: usize): v128 {
  return fma(sum, x, c(index))
}

/** e^x: at most 2 ULP for x in -87.3..88.3; beyond, the value at the end of that range. NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function exp(value: v128): v128 {
  const x = f32x4.min(f32x4.max(value, c(10)), c(11))
  const n = f32x4.nearest(f32x4.mul(x, c(0)))
  let r = fma(n, c(1), x)
  r = fma(n, c(2), r)
  let p = c(3)
  p = poly(r, p, 4)
  p = poly(r, p, 5)
  p = poly(r, p, 6)
  p = poly(r, p, 7)
  p = poly(r, p, 8)
  p = f32x4.add(fma(f32x4.mul(r, r), p, r), c(9))
  return i32x4.add(p, i32x4.shl(i32x4.trunc_sat_f32x4_s(n), 23))
}

/** erfc(|x| / sqrt 2) / 2, the upper tail of the normal distribution: at most 2^-19 relative for |x| < 5. Numerical Recipes' erfcc. */
// @ts-ignore: decorator
@inline
function tail(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), c(13))
  const t = f32x4.div(c(9), fma(z, c(12), c(9)))
  let p = c(23)
  p = poly(t, p, 22)
  p = poly(t, p, 21)
  p = poly(t, p, 20)
  p = poly(t, p, 19)
  p = poly(t, p, 18)
  p = poly(t, p, 17)
  p = poly(t, p, 16)
  p = poly(t, p, 15)
  p = poly(t, p, 14)
  return f32x4.mul(f32x4.mul(c(12), t), exp(f32x4.sub(p, f32x4.mul(z, z))))
}

/** The normal distribution's Phi: absolute error at most 2^-22. */
// @ts-ignore: decorator
@inline
function phi(x: v128): v128 {
  const t = tail(x)
  return v128.bitselect(t, f32x4.sub(c(9), t), f32x4.lt(x, f32x4.splat(0)))
}

/** tanh x: at most 4 ULP. */
// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const a = f32x4.abs(x)
  const e = exp(f32x4.mul(a, c(30)))
  const large = f32x4.div(f32x4.sub(c(9), e), f32x4.add(c(9), e))
  const z = f32x4.mul(x, x)
  let p = c(24)
  p = poly(z, p, 25)
  p = poly(z, p, 26)
  p = poly(z, p, 27)
  p = poly(z, p, 28)
  const small = fma(f32x4.mul(p, z), x, x)
  const signed = v128.or(large, v128.and(x, f32x4.splat(-0.0)))
  return v128.bitselect(small, signed, f32x4.lt(a, c(29)))
}

/** 1 / (1 + e^-x): at most 4 ULP. */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(c(9), f32x4.add(c(9), exp(f32x4.neg(x))))
}

/** log x for normal x > 0: at most 2 ULP. Cephes' logf. */
// @ts-ignore: decorator
@inline
export function log(x: v128): v128 {
  let e = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126)))
  let m = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000)) // 0.5 <= m < 1
  const below = f32x4.lt(m, c(42))
  e = f32x4.sub(e, v128.and(below, c(9)))
  m = f32x4.sub(f32x4.add(m, v128.and(below, m)), c(9))
  const z = f32x4.mul(m, m)
  let p = c(31)
  p = poly(m, p, 32)
  p = poly(m, p, 33)
  p = poly(m, p, 34)
  p = poly(m, p, 35)
  p = poly(m, p, 36)
  p = poly(m, p, 37)
  p = poly(m, p, 38)
  p = poly(m, p, 39)
  let y = f32x4.mul(f32x4.mul(m, z), p)
  y = fma(e, c(40), y)
  y = f32x4.sub(y, f32x4.mul(c(12), z))
  return fma(e, c(41), f32x4.add(m, y))
}

// @ts-ignore: decorator
@inline
function geluInner(x: v128): v128 {
  // sqrt(2/pi) (x + 0.044715 x^3)
  const cube = f32x4.mul(f32x4.mul(x, x), x)
  return f32x4.mul(c(43), fma(c(44), cube, x))
}

/** What act(x) and act'(x) are both made of, for a kind that is constant where it is inlined. */
// @ts-ignore: decorator
@inline
export function gate(kind: i32, x: v128): v128 {
  switch (kind) {
    case Activation.Gelu:
      return phi(x)
    case Activation.GeluTanh:
      return tanh(geluInner(x))
    case Activation.QuickGelu:
      return sigmoid(f32x4.mul(c(45), x))
    case Activation.Silu:
      return sigmoid(x)
    case Activation.Tanh:
      return tanh(x)
    default:
      return x
  }
}

/** act(x) from its gate. */
// @ts-ignore: decorator
@inline
export function gated(kind: i32, x: v128, g: v128): v128 {
  switch (kind) {
    case Activation.Gelu:
    case Activation.QuickGelu:
    case Activation.Silu:
      return f32x4.mul(x, g)
    case Activation.GeluTanh:
      return f32x4.mul(f32x4.mul(c(12), x), f32x4.add(c(9), g))
    case Activation.Relu:
      return f32x4.max(x, f32x4.splat(0))
    default:
      return g
  }
}

/** act(x). */
// @ts-ignore: decorator
@inline
export function activate(kind: i32, x: v128): v128 {
  return gated(kind, x, gate(kind, x))
}

// @ts-ignore: decorator
@inline
function sigmoidSlope(x: v128, s: v128): v128 {
  // d(x s(x)): s + x s (1 - s)
  return fma(f32x4.mul(x, s), f32x4.sub(c(9), s), s)
}

/** act'(x) from the gate. */
// @ts-ignore: decorator
@inline
export function derivative(kind: i32, x: v128, g: v128): v128 {
  switch (kind) {
    case Activation.Gelu: {
      const density = f32x4.mul(c(46), exp(f32x4.mul(f32x4.neg(c(12)), f32x4.mul(x, x))))
      return fma(x, density, g)
    }
    case Activation.GeluTanh: {
      const slope = f32x4.mul(c(43), fma(c(47), f32x4.mul(x, x), c(9)))
      const half = f32x4.mul(c(12), x)
      return fma(f32x4.mul(half, slope), f32x4.sub(c(9), f32x4.mul(g, g)), f32x4.mul(c(12), f32x4.add(c(9), g)))
    }
    case Activation.QuickGelu:
      return sigmoidSlope(f32x4.mul(c(45), x), g)
    case Activation.Relu:
      return v128.and(c(9), f32x4.gt(x, f32x4.splat(0)))
    case Activation.Silu:
      return sigmoidSlope(x, g)
    case Activation.Tanh:
      return f32x4.sub(c(9), f32x4.mul(g, g))
    default:
      return c(9)
  }
}

/** exp and log of one number, in lane 0. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp(f32x4.splat(x)), 0)
}

export function log1(x: f32): f32 {
  return f32x4.extract_lane(log(f32x4.splat(x)), 0)
}
