// In-register peaks: loops of multiply-adds with 8 and 12 accumulators, more than latency times width asks for anywhere. Each starts with a
// value of its own, and what is multiplied is the accumulator: of equal or constant products a compiler would compute one. Built by bench/peak/peak.mjs; see there.

// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  if (isDefined(FAST)) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(c, f32x4.mul(a, b))
}

/** 16 products of bytes, or 8 of 16-bit numbers where that is what there is. */
// @ts-ignore: decorator
@inline
function dot(a: v128, b: v128, c: v128): v128 {
  if (isDefined(FAST)) return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c)
  return i32x4.add(c, i32x4.dot_i16x8_s(a, b))
}

/** n rounds of 8 multiply-adds of operands held in registers. */
export function constant8(p: usize, n: i32): f32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144)
  for (let i = 0; i < n; i++) {
    a = madd(a, y, x)
    b = madd(b, y, x)
    c = madd(c, y, x)
    d = madd(d, y, x)
    e = madd(e, y, x)
    f = madd(f, y, x)
    g = madd(g, y, x)
    h = madd(h, y, x)
  }
  return f32x4.extract_lane(f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))), 0)
}

/** n rounds of 12. */
export function constant12(p: usize, n: i32): f32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144),
    k = v128.load(p, 160),
    l = v128.load(p, 176),
    m = v128.load(p, 192),
    o = v128.load(p, 208)
  for (let i = 0; i < n; i++) {
    a = madd(a, y, x)
    b = madd(b, y, x)
    c = madd(c, y, x)
    d = madd(d, y, x)
    e = madd(e, y, x)
    f = madd(f, y, x)
    g = madd(g, y, x)
    h = madd(h, y, x)
    k = madd(k, y, x)
    l = madd(l, y, x)
    m = madd(m, y, x)
    o = madd(o, y, x)
  }
  return f32x4.extract_lane(
    f32x4.add(
      f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))),
      f32x4.add(f32x4.add(k, l), f32x4.add(m, o)),
    ),
    0,
  )
}

/** n rounds of 8, whose operands come from memory as those of a tile of 4 rows do. */
export function loaded8(p: usize, n: i32): f32 {
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144)
  for (let i = 0; i < n; i++) {
    const q = p + ((<usize>(i & 63)) << 6)
    const y = v128.load(q)
    const z = v128.load(q, 16)
    let x: v128
    x = v128.load32_splat(q, 32)
    a = madd(a, y, x)
    b = madd(x, z, b)
    x = v128.load32_splat(q, 36)
    c = madd(c, y, x)
    d = madd(x, z, d)
    x = v128.load32_splat(q, 40)
    e = madd(e, y, x)
    f = madd(x, z, f)
    x = v128.load32_splat(q, 44)
    g = madd(g, y, x)
    h = madd(x, z, h)
  }
  return f32x4.extract_lane(f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))), 0)
}

/** n rounds of 12, as those of a tile of 6 rows. */
export function loaded12(p: usize, n: i32): f32 {
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144),
    k = v128.load(p, 160),
    l = v128.load(p, 176),
    m = v128.load(p, 192),
    o = v128.load(p, 208)
  for (let i = 0; i < n; i++) {
    const q = p + ((<usize>(i & 63)) << 6)
    const y = v128.load(q)
    const z = v128.load(q, 16)
    let x: v128
    x = v128.load32_splat(q, 32)
    a = madd(a, y, x)
    b = madd(x, z, b)
    x = v128.load32_splat(q, 36)
    c = madd(c, y, x)
    d = madd(x, z, d)
    x = v128.load32_splat(q, 40)
    e = madd(e, y, x)
    f = madd(x, z, f)
    x = v128.load32_splat(q, 44)
    g = madd(g, y, x)
    h = madd(x, z, h)
    x = v128.load32_splat(q, 48)
    k = madd(k, y, x)
    l = madd(x, z, l)
    x = v128.load32_splat(q, 52)
    m = madd(m, y, x)
    o = madd(x, z, o)
  }
  return f32x4.extract_lane(
    f32x4.add(
      f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h))),
      f32x4.add(f32x4.add(k, l), f32x4.add(m, o)),
    ),
    0,
  )
}

/** n rounds of 8 dot products of integers held in registers. */
export function dots8(p: usize, n: i32): i32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144)
  for (let i = 0; i < n; i++) {
    a = dot(a, y, x)
    b = dot(b, y, x)
    c = dot(c, y, x)
    d = dot(d, y, x)
    e = dot(e, y, x)
    f = dot(f, y, x)
    g = dot(g, y, x)
    h = dot(h, y, x)
  }
  return i32x4.extract_lane(i32x4.add(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), i32x4.add(i32x4.add(e, f), i32x4.add(g, h))), 0)
}

/** n rounds of 12. */
export function dots12(p: usize, n: i32): i32 {
  const x = v128.load(p)
  const y = v128.load(p, 16)
  let a = v128.load(p, 32),
    b = v128.load(p, 48),
    c = v128.load(p, 64),
    d = v128.load(p, 80),
    e = v128.load(p, 96),
    f = v128.load(p, 112),
    g = v128.load(p, 128),
    h = v128.load(p, 144),
    k = v128.load(p, 160),
    l = v128.load(p, 176),
    m = v128.load(p, 192),
    o = v128.load(p, 208)
  for (let i = 0; i < n; i++) {
    a = dot(a, y, x)
    b = dot(b, y, x)
    c = dot(c, y, x)
    d = dot(d, y, x)
    e = dot(e, y, x)
    f = dot(f, y, x)
    g = dot(g, y, x)
    h = dot(h, y, x)
    k = dot(k, y, x)
    l = dot(l, y, x)
    m = dot(m, y, x)
    o = dot(o, y, x)
  }
  return i32x4.extract_lane(
    i32x4.add(
      i32x4.add(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), i32x4.add(i32x4.add(e, f), i32x4.add(g, h))),
      i32x4.add(i32x4.add(k, l), i32x4.add(m, o)),
    ),
    0,
  )
}
