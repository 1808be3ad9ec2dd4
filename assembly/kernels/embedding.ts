// Rows of tables by index: the sum of three embeddings, gather, and scatter, the gradient of both.
import { RowMode, TableMode } from '../abi'
import { dim, float, mode, operand } from '../record'
import { normRow } from '../rows'
import { loadTail, storeTail } from '../simd'
import { next } from '../threads'
import { panelBytes, PANEL_HEAD } from './quantize'

export function embedding(r: usize): void {
  const t = dim(r, 0)
  const h = dim(r, 1)
  const words = dim(r, 2)
  const places = dim(r, 3)
  const kinds = dim(r, 4)
  const flags = mode(r)
  const ids = operand(r, 0)
  const types = operand(r, 1)
  const positions = operand(r, 2)
  const word = operand(r, 3)
  const type = operand(r, 4)
  const position = operand(r, 5)
  const y = operand(r, 8)
  const row = (<usize>h) << 2
  for (let i = next(); i < t; i = next()) {
    const index = (<usize>i) << 2
    const id = load<u32>(ids + index)
    const kind = load<u32>(types + index)
    const place = load<u32>(positions + index)
    assert(id < <u32>words)
    assert(kind < <u32>kinds)
    assert(place < <u32>places)
    const to = y + <usize>i * row
    const a = type + <usize>kind * row
    const b = position + <usize>place * row
    // transformers adds types to words, then positions: the same order here.
    if (flags & TableMode.Panel8) {
      lookUp(word, <i32>id, h, a, b, to)
    } else if (flags & TableMode.Panel) {
      let from = word + ((<usize>(id >> 3) * row) << 3) + ((<usize>(id & 7)) << 2)
      for (let j: usize = 0; j < row; j += 4, from += 32) store<f32>(to + j, load<f32>(from) + load<f32>(a + j) + load<f32>(b + j))
    } else {
      const from = word + <usize>id * row
      let j: usize = 0
      for (; j + 16 <= row; j += 16) {
        v128.store(to + j, f32x4.add(f32x4.add(v128.load(from + j), v128.load(a + j)), v128.load(b + j)))
      }
      for (; j < row; j += 4) store<f32>(to + j, load<f32>(from + j) + load<f32>(a + j) + load<f32>(b + j))
    }
    if (flags & RowMode.Fused) normRow(to, operand(r, 6), operand(r, 7), to, h, float(r, 0), 0)
  }
}

/** A row of a table in 8 bits, plus two others. */
function lookUp(table: usize, id: i32, h: i32, a: usize, b: usize, to: usize): void {
  let from = table + <usize>(id >> 3) * panelBytes(h) + ((<usize>(id & 7)) << 2)
  const scale = v128.load32_splat(from)
  from += PANEL_HEAD
  const end = a + ((<usize>h) << 2)
  for (; a + 16 <= end; a += 16, b += 16, to += 16, from += 32) {
    const x = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from))))
    v128.store(to, f32x4.add(f32x4.add(f32x4.mul(x, scale), v128.load(a)), v128.load(b)))
  }
  for (; a < end; a += 4, b += 4, to += 4, from++) {
    store<f32>(to, <f32>load<i8>(from) * f32x4.extract_lane(scale, 0) + load<f32>(a) + load<f32>(b))
  }
}

export function gather(r: usize): void {
  const rows = dim(r, 0)
  const row = (<usize>dim(r, 1)) << 2
  const x = operand(r, 0)
  const index = operand(r, 1)
  const y = operand(r, 2)
  for (let i = next(); i < rows; i = next()) {
    const from = load<u32>(index + ((<usize>i) << 2))
    assert(from < <u32>dim(r, 2))
    memory.copy(y + <usize>i * row, x + <usize>from * row, row)
  }
}

/** table[index[t]] += dy[t]: four columns a unit, t in order. The row skip - 1 learns nothing: the padding token's. */
export function scatter(r: usize): void {
  const t = dim(r, 0)
  const h = dim(r, 1)
  const dy = operand(r, 0)
  const index = operand(r, 1)
  const table = operand(r, 2)
  const skip = dim(r, 3)
  const panel = (mode(r) & TableMode.Panel) != 0
  const row = (<usize>h) << 2
  const units = (h + 3) >> 2
  for (let unit = next(); unit < units; unit = next()) {
    const at = (<usize>unit) << 4
    const rest = min(4, h - (unit << 2))
    for (let i = 0; i < t; i++) {
      const id = load<u32>(index + ((<usize>i) << 2))
      assert(id < <u32>dim(r, 2))
      if (id + 1 == <u32>skip) continue
      const from = dy + <usize>i * row + at
      if (panel) {
        let to = table + ((<usize>(id >> 3) * row) << 3) + (at << 3) + ((<usize>(id & 7)) << 2)
        for (let j = 0; j < rest; j++, to += 32) store<f32>(to, load<f32>(to) + load<f32>(from + ((<usize>j) << 2)))
      } else {
        const to = table + <usize>id * row + at
        if (rest == 4) v128.store(to, f32x4.add(v128.load(to), v128.load(from)))
        else storeTail(to, f32x4.add(loadTail(to, rest), loadTail(from, rest)), rest)
      }
    }
  }
}
