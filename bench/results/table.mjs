// How results of several seeds are told.

export function meanAndRange(values, digits) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  return `mean ${mean.toFixed(digits)}, ${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}`
}
