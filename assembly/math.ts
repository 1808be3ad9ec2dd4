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
  // the normal distribution's tail: 12 0.5, 13 where it ends, N from 14, D from 20
  0.5,
  6,
  -3.213337322449661e-6,
  8.389291178900748e-5,
  -8.845716365613043e-4,
  4.713951610028744e-3,
  -1.2710636481642723e-2,
  1.3888888992369175e-2,
  7.218044629553333e-5,
  4.331918025854975e-4,
  -3.4026785288006067e-3,
  2.8357932344079018e-2,
  -8.575724810361862e-2,
  3.1269779801368713e-1,
  -4.506135880947113e-1,
  1, // 27
  // tanh
  -5.70498872745e-3,
  2.06390887954e-2,
  -5.37397155531e-2,
  1.33314422036e-1,
  -3.33332819422e-1,
  0.625,
  -2.0, // 28..34
  // log
  7.0376836292e-2,
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1, // 35..39
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
  -2.1219444e-4,
  0.693359375,
  0.70710678118654752, // 40..46
  // gelu by tanh, quick gelu, densities
  0.7978845608028654,
  0.044715,
  1.702,
  0.3989422804014327,
  0.134145, // 47..51
  12582912, // 52: 1.5 x 2^23
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

/** Two terms: pairs over x^2 wait for each other half as long as terms over x. */
// @ts-ignore: decorator
@inline
function pair(x: v128, index: usize): v128 {
  return fma(c(index), x, c(index + 1))
}

/** e^x: at most 2 ULP for x in -87.3..88.3; beyond, the value at the end of that range. NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function exp(value: v128): v128 {
  // Not min and max, which are seven instructions each where these are one; x first, so that a NaN stays.
  const x = f32x4.pmin(f32x4.pmax(value, c(10)), c(11))
  // The nearest whole number lies in the low bits of the sum.
  const whole = f32x4.add(f32x4.mul(x, c(0)), c(52))
  const n = f32x4.sub(whole, c(52))
  let r = fma(n, c(1), x)
  r = fma(n, c(2), r)
  const r2 = f32x4.mul(r, r)
  let p = pair(r, 3)
  p = fma(p, r2, pair(r, 5))
  p = fma(p, r2, pair(r, 7))
  p = f32x4.add(fma(r2, p, r), c(9))
  // A product, not a sum of exponents: a NaN has other low bits.
  return f32x4.mul(p, i32x4.add(i32x4.shl(whole, 23), c(9)))
}

/** The upper tail of the normal distribution at |x|, 0 from 6 on. A quotient of polynomials, which wait for each other less than an exponential's
 * steps do; scripts/normal-tail.py finds them. */
// @ts-ignore: decorator
@inline
function tail(x: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), c(13))
  const a2 = f32x4.mul(a, a)
  let n = pair(a, 14)
  n = fma(n, a2, pair(a, 16))
  n = fma(n, a2, pair(a, 18))
  let d = pair(a, 20)
  d = fma(d, a2, pair(a, 22))
  d = fma(d, a2, pair(a, 24))
  d = fma(d, a2, pair(a, 26))
  const rest = f32x4.sub(c(13), a)
  return f32x4.div(f32x4.mul(f32x4.mul(rest, rest), n), d)
}

/** The normal distribution's Phi: absolute error at most 2^-22, and 2^-24 below -2. */
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
  const e = exp(f32x4.mul(a, c(34)))
  const large = f32x4.div(f32x4.sub(c(9), e), f32x4.add(c(9), e))
  const z = f32x4.mul(x, x)
  let p = c(28)
  p = poly(z, p, 29)
  p = poly(z, p, 30)
  p = poly(z, p, 31)
  p = poly(z, p, 32)
  const small = fma(f32x4.mul(p, z), x, x)
  const signed = v128.or(large, v128.and(x, f32x4.splat(-0.0)))
  return v128.bitselect(small, signed, f32x4.lt(a, c(33)))
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
  const below = f32x4.lt(m, c(46))
  e = f32x4.sub(e, v128.and(below, c(9)))
  m = f32x4.sub(f32x4.add(m, v128.and(below, m)), c(9))
  const z = f32x4.mul(m, m)
  let p = c(35)
  p = poly(m, p, 36)
  p = poly(m, p, 37)
  p = poly(m, p, 38)
  p = poly(m, p, 39)
  p = poly(m, p, 40)
  p = poly(m, p, 41)
  p = poly(m, p, 42)
  p = poly(m, p, 43)
  let y = f32x4.mul(f32x4.mul(m, z), p)
  y = fma(e, c(44), y)
  y = f32x4.sub(y, f32x4.mul(c(12), z))
  return fma(e, c(45), f32x4.add(m, y))
}

// @ts-ignore: decorator
@inline
function geluInner(x: v128): v128 {
  // sqrt(2/pi) (x + 0.044715 x^3)
  const cube = f32x4.mul(f32x4.mul(x, x), x)
  return f32x4.mul(c(47), fma(c(48), cube, x))
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
      return sigmoid(f32x4.mul(c(49), x))
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
      const density = f32x4.mul(c(50), exp(f32x4.mul(f32x4.neg(c(12)), f32x4.mul(x, x))))
      return fma(x, density, g)
    }
    case Activation.GeluTanh: {
      const slope = f32x4.mul(c(47), fma(c(51), f32x4.mul(x, x), c(9)))
      const half = f32x4.mul(c(12), x)
      return fma(f32x4.mul(half, slope), f32x4.sub(c(9), f32x4.mul(g, g)), f32x4.mul(c(12), f32x4.add(c(9), g)))
    }
    case Activation.QuickGelu:
      return sigmoidSlope(f32x4.mul(c(49), x), g)
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
