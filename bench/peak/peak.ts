// In-register peaks: loops of multiply-adds with 8, 12 and 16 accumulators. Built by bench/peak/peak.mjs; see there.

// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  if (isDefined(FAST)) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(c, f32x4.mul(a, b))
}

/** n rounds of 8 multiply-adds of operands held in registers. */
export function constant8(p: usize, n: i32): f32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = x,
    b = x,
    c = x,
    d = x,
    e = x,
    f = x,
    g = x,
    h = x
  for (let i = 0; i < n; i++) {
    a = madd(x, y, a)
    b = madd(x, y, b)
    c = madd(x, y, c)
    d = madd(x, y, d)
    e = madd(x, y, e)
    f = madd(x, y, f)
    g = madd(x, y, g)
    h = madd(x, y, h)
  }
  return f32x4.extract_lane(f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))), 0)
}

/** n rounds of 12. */
export function constant12(p: usize, n: i32): f32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = x,
    b = x,
    c = x,
    d = x,
    e = x,
    f = x,
    g = x,
    h = x,
    k = x,
    l = x,
    m = x,
    o = x
  for (let i = 0; i < n; i++) {
    a = madd(x, y, a)
    b = madd(x, y, b)
    c = madd(x, y, c)
    d = madd(x, y, d)
    e = madd(x, y, e)
    f = madd(x, y, f)
    g = madd(x, y, g)
    h = madd(x, y, h)
    k = madd(x, y, k)
    l = madd(x, y, l)
    m = madd(x, y, m)
    o = madd(x, y, o)
  }
  const low = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)))
  return f32x4.extract_lane(f32x4.add(low, f32x4.add(f32x4.add(k, l), f32x4.add(m, o))), 0)
}

/** n rounds of 8, with two loads a round that the multiplications wait for. */
export function loaded8(p: usize, n: i32): f32 {
  let a = v128.load(p),
    b = a,
    c = a,
    d = a,
    e = a,
    f = a,
    g = a,
    h = a
  for (let i = 0; i < n; i++) {
    const q = p + ((<usize>(i & 63)) << 5)
    const x = v128.load(q)
    const y = v128.load(q, 16)
    a = madd(x, y, a)
    b = madd(x, y, b)
    c = madd(x, y, c)
    d = madd(x, y, d)
    e = madd(x, y, e)
    f = madd(x, y, f)
    g = madd(x, y, g)
    h = madd(x, y, h)
  }
  return f32x4.extract_lane(f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))), 0)
}
