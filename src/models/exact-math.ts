// Functions that Math does not promise to the bit, in float64: the same on every engine.

const LN2_HIGH = 0.6931471803691238
const LN2_LOW = 1.9082149292705877e-10

/** e^x, at most 2 units in the last place off. 0 below -708, for what is left there counts for nothing. */
export function exp(x: number): number {
  if (!(x >= -708)) return x < -708 ? 0 : x
  if (x > 709) return Infinity
  const k = Math.round(x / Math.LN2)
  const r = x - k * LN2_HIGH - k * LN2_LOW
  // Taylor, |r| <= 0.35.
  let sum = 1
  for (let i = 13; i > 0; i--) sum = 1 + (sum * r) / i
  // In two steps, for 2^1024 is no number.
  return sum * power(k >> 1) * power(k - (k >> 1))
}

const word = new DataView(new ArrayBuffer(8))

/** 2^k */
function power(k: number): number {
  word.setInt32(0, (k + 1023) << 20)
  return word.getFloat64(0)
}
