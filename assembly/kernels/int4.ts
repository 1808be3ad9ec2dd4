// The same with B in 4 bits: for memory, where int8 is for speed. A weight [N][K], K in whole groups of 32, lies in panels of 8 rows:
//
//     panel:  | 8 totals f32 | K/32 groups of: 8 scales f32, then [8][16] bytes |
//     byte:   4 columns of rows 0..3 in low halves, of rows 4..7 in high halves; each an integer of -8..7, plus 8
//
// A piece of a panel is unpacked to bytes that stay in L1. Sums within a group are of integers, which are exact; groups, each times its scale,
// are added in their order, a product and a sum rounded each: so every build, thread and batch has the same bits. A total is a row's sum of
// scale times integers, added in that order too.
import { Activation, FileType } from '../abi'
import { dim, mode, operand } from '../record'
import { next } from '../threads'
import { blockScratch } from './gemm'
import { biasTail, deliver, GROUP, ROWS, SUMS_BYTES, tiles, widen, widenRows } from './int8'
import { four, one } from './pack'
import { ROW_HEAD } from './quantize'

/** Columns that share a scale, and the bytes of 8 rows of them. */
const SPAN: i32 = 32
const SPAN_BYTES: usize = 160
const HEAD: usize = 32
/** Columns of a piece. */
const DEPTH: i32 = 768

// @ts-ignore: decorator
@inline
function panel4Bytes(k: i32): usize {
  return HEAD + <usize>(k / SPAN) * SPAN_BYTES
}

export function gemmInt4(r: usize): void {
  const m = dim(r, 0)
  const n = dim(r, 1)
  const k = dim(r, 2)
  const bw = dim(r, 3)
  const a = operand(r, 0)
  const b = operand(r, 1)
  const bias = operand(r, 2)
  const c = operand(r, 3)
  const kind = mode(r) & Activation.Mask
  const rowBytes = ROW_HEAD + <usize>k
  const panels = (n + 7) >> 3
  const groups = (panels + GROUP - 1) / GROUP
  const units = groups * ((m + ROWS - 1) / ROWS)
  const raw = biasTail() + 64
  const bytes = raw + SUMS_BYTES
  const words = bytes + ((<usize>DEPTH) << 3)
  const wideRows = words + ((<usize>DEPTH) << 4)
  // Bytes of a group as the tiles eat it: of a row, and of a panel.
  const wide: usize = ASC_FEATURE_RELAXED_SIMD ? 0 : 1
  const ofRow = (<usize>SPAN) << wide
  const ofPanel = (<usize>SPAN) << (3 + wide)

  for (let unit = next(); unit < units; unit = next()) {
    const m0 = (unit / groups) * ROWS
    const rows = min(ROWS, m - m0)
    const p0 = (unit % groups) * GROUP
    const p1 = min(panels, p0 + GROUP)
    const block = a + <usize>m0 * rowBytes
    memory.fill(blockScratch(), 0, <usize>(p1 - p0) * SUMS_BYTES)
    for (let k0 = 0; k0 < k; k0 += DEPTH) {
      const kc = min(DEPTH, k - k0)
      let rowsAt = block + ROW_HEAD + <usize>k0
      let lda = rowBytes
      if (!ASC_FEATURE_RELAXED_SIMD) {
        widenRows(rowsAt, lda, rows, kc, wideRows)
        rowsAt = wideRows
        lda = (<usize>kc) << 1
      }
      for (let p = p0; p < p1; p++) {
        const head = b + <usize>p * panel4Bytes(k)
        const from = head + HEAD + <usize>(k0 / SPAN) * SPAN_BYTES
        const sums = blockScratch() + <usize>(p - p0) * SUMS_BYTES
        let panel = bytes
        unpack(from, kc, panel)
        if (!ASC_FEATURE_RELAXED_SIMD) {
          widen(panel, kc, words)
          panel = words
        }
        for (let g = 0; g < kc / SPAN; g++) {
          memory.fill(raw, 0, (<usize>rows) << 5)
          tiles(rowsAt + <usize>g * ofRow, lda, rows, panel + <usize>g * ofPanel, SPAN, raw)
          addScaled(sums, raw, rows, from + <usize>g * SPAN_BYTES)
        }
        if (k0 + kc < k) continue
        for (let i = 0; i < rows; i++) {
          const row = block + <usize>i * rowBytes
          const at = sums + ((<usize>i) << 5)
          finishRow(at, row, head)
          finishRow(at + 16, row, head + 16)
        }
        deliver(sums, rows, p << 3, n, bias, kind, c + <usize>m0 * ((<usize>bw) << 2), m, bw)
      }
    }
  }
}

/** A panel's groups to bytes, [kc/4][8][4]. */
function unpack(from: usize, kc: i32, to: usize): void {
  const low = i8x16.splat(15)
  const eight = i8x16.splat(8)
  for (const end = to + ((<usize>kc) << 3); to < end; from += SPAN_BYTES) {
    for (let p = from + 32; p < from + SPAN_BYTES; p += 16, to += 32) {
      const x = v128.load(p)
      v128.store(to, i8x16.sub(v128.and(x, low), eight))
      v128.store(to, i8x16.sub(i8x16.shr_u(x, 4), eight), 16)
    }
  }
}

/** sums += scales * a group's integers. */
function addScaled(sums: usize, raw: usize, rows: i32, scales: usize): void {
  const scale0 = v128.load(scales)
  const scale1 = v128.load(scales, 16)
  for (const end = sums + ((<usize>rows) << 5); sums < end; sums += 32, raw += 32) {
    v128.store(sums, f32x4.add(v128.load(sums), f32x4.mul(f32x4.convert_i32x4_s(v128.load(raw)), scale0)))
    v128.store(sums, f32x4.add(v128.load(sums, 16), f32x4.mul(f32x4.convert_i32x4_s(v128.load(raw, 16)), scale1)), 16)
  }
}

/** step * sums + least * totals. */
// @ts-ignore: decorator
@inline
function finishRow(at: usize, row: usize, totals: usize): void {
  const x = f32x4.mul(v128.load32_splat(row), v128.load(at))
  v128.store(at, f32x4.add(x, f32x4.mul(v128.load32_splat(row, 4), v128.load(totals))))
}

/** A scale's candidates: the largest of a group becomes one of them, and what is past 7 is cut. */
const CANDIDATES = memory.data<f32>([7, 7.5, 8, 8.75])

/**
 * Rows row0..row0+rows-1 of a file's matrix [..][K] into the panels at `target`. Of floats each group gets the scale with the least squared
 * error; integers, packed as files have them, are taken as they are.
 */
export function quantizeRows4(source: usize, type: i32, target: usize, row0: i32, rows: i32, k: i32): void {
  const size: usize = type == FileType.F32 ? 4 : 2
  for (let i = 0; i < rows; i++) {
    const row = row0 + i
    const lane = <usize>(row & 7)
    let group = target + <usize>(row >> 3) * panel4Bytes(k) + HEAD
    for (let j = 0; j < k; j += SPAN, group += SPAN_BYTES) {
      if (type == FileType.I4) {
        for (let l: usize = 0; l < 32; l += 2, source++) {
          put(group, lane, l, load<u8>(source) & 15)
          put(group, lane, l + 1, load<u8>(source) >> 4)
        }
        continue
      }
      let sizes = f32x4.splat(0)
      for (let l: usize = 0; l < 32; l += 4) sizes = f32x4.max(sizes, f32x4.abs(four(source + l * size, type)))
      sizes = f32x4.max(sizes, v128.shuffle<f32>(sizes, sizes, 2, 3, 0, 1))
      const most = max(f32x4.extract_lane(sizes, 0), f32x4.extract_lane(sizes, 1))
      // A group of zeros has some scale that is none: files may hold no other.
      const none = most < 1e-35
      const inverse = f32x4.splat(none ? 0 : 1 / most)
      let best: f32 = 7
      let least = f32.MAX_VALUE
      for (let at = CANDIDATES; at < CANDIDATES + 16; at += 4) {
        const by = v128.load32_splat(at)
        let error = f32x4.splat(0)
        for (let l: usize = 0; l < 32; l += 4) {
          const x = f32x4.mul(f32x4.mul(four(source + l * size, type), inverse), by)
          const d = f32x4.sub(x, whole(x))
          error = f32x4.add(error, f32x4.mul(d, d))
        }
        error = f32x4.add(error, v128.shuffle<f32>(error, error, 2, 3, 0, 1))
        // Counted in steps so far.
        const candidate = load<f32>(at)
        const sum: f32 = (f32x4.extract_lane(error, 0) + f32x4.extract_lane(error, 1)) / (candidate * candidate)
        if (sum >= least) continue
        least = sum
        best = candidate
      }
      store<f32>(group + (lane << 2), none ? 1 : most / best)
      const inverse1 = f32x4.extract_lane(inverse, 0)
      for (let l: usize = 0; l < 32; l++) {
        const x: f32 = one(source + l * size, type) * inverse1 * best
        put(group, lane, l, <i32>nearest(max<f32>(min<f32>(x, 7), -8)) + 8)
      }
      source += 32 * size
    }
  }
  totals(target, row0, rows, k)
}

// @ts-ignore: decorator
@inline
function whole(x: v128): v128 {
  return f32x4.nearest(f32x4.max(f32x4.min(x, f32x4.splat(7)), f32x4.splat(-8)))
}

/** Sets column l of a group's row to q + 8. */
function put(group: usize, lane: usize, l: usize, q: i32): void {
  const at = group + 32 + ((l >> 2) << 4) + ((lane & 3) << 2) + (l & 3)
  const shift = <i32>(lane & 4)
  store<u8>(at, <u8>(((<i32>load<u8>(at)) & (0xf0 >> shift)) | (q << shift)))
}

// @ts-ignore: decorator
@inline
function take(group: usize, lane: usize, l: usize): i32 {
  return (((<i32>load<u8>(group + 32 + ((l >> 2) << 4) + ((lane & 3) << 2) + (l & 3))) >> (<i32>(lane & 4))) & 15) - 8
}

/** The totals of rows row0..row0+rows-1: for whoever has set scales or integers. */
export function totals(target: usize, row0: i32, rows: i32, k: i32): void {
  for (let row = row0; row < row0 + rows; row++) {
    const lane = <usize>(row & 7)
    const panel = target + <usize>(row >> 3) * panel4Bytes(k)
    let total: f32 = 0
    for (let group = panel + HEAD; group < panel + panel4Bytes(k); group += SPAN_BYTES) {
      let sum = 0
      for (let l: usize = 0; l < 32; l++) sum += take(group, lane, l)
      total += load<f32>(group + (lane << 2)) * <f32>sum
    }
    store<f32>(panel + (lane << 2), total)
  }
}
