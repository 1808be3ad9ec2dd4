// Whether a value is what the comment behind a statement says: run beside the programs of README.md and docs/, so plain JavaScript.

/**
 * A shape is what a comment was read to: { any }, { is: a value }, { number, digits }, { list: [shape, ...], open } or { object: { key: shape }, open }.
 * Throws at the first difference, with its place.
 */
export function check(value, shape, line, place = '') {
  const differs = (wanted) => {
    throw new Error(`line ${line}${place && `, at ${place}`}: expected ${wanted}, as the comment says, got ${text(value)}`)
  }
  if ('is' in shape && value !== shape.is) differs(JSON.stringify(shape.is))
  if ('number' in shape) {
    const near = typeof value === 'number' && Math.abs(value - shape.number) <= 0.5001 * 10 ** -shape.digits
    if (!near) differs(shape.number.toFixed(shape.digits))
  }
  if (shape.list) {
    const list = ArrayBuffer.isView(value) ? [...value] : value
    if (!Array.isArray(list)) differs('a list')
    const { length } = shape.list
    if (shape.open ? list.length < length : list.length !== length) differs(`${length}${shape.open ? ' or more' : ''} items`)
    shape.list.forEach((item, i) => check(list[i], item, line, `${place}[${i}]`))
  }
  if (shape.object) {
    if (typeof value !== 'object' || value === null) differs('an object')
    const keys = Object.keys(shape.object)
    const missing = keys.find((key) => !(key in value))
    if (missing !== undefined) differs(`an object with ${missing}`)
    // What is there and undefined is not printed.
    const more = Object.keys(value).find((key) => !keys.includes(key) && value[key] !== undefined)
    if (more !== undefined && !shape.open) differs(`an object without ${more}`)
    for (const key of keys) check(value[key], shape.object[key], line, `${place}.${key}`)
  }
}

function text(value) {
  const plain = (_, item) => (ArrayBuffer.isView(item) ? `${item.constructor.name} of ${item.length}` : item)
  return (JSON.stringify(value, plain) ?? String(value)).slice(0, 400)
}
