// Which entries of an index count, by their metadata: the operators that vector databases share.
import { expected, nearest, show } from '../errors.ts'
import { isObject, type JsonObject } from '../json.ts'

export type Scalar = string | number | boolean | null

/** What is said of one field: its value, or a list that it must be in, or what it must be compared with. */
export type Condition =
  | Scalar
  | readonly Scalar[]
  | {
      readonly $eq?: Scalar
      readonly $ne?: Scalar
      readonly $gt?: number | string
      readonly $gte?: number | string
      readonly $lt?: number | string
      readonly $lte?: number | string
      readonly $in?: readonly Scalar[]
      readonly $nin?: readonly Scalar[]
    }

/** Conditions that must all hold, or a function. A field that is an array fits when one of its values does. */
export type Filter<M = JsonObject> =
  | ((metadata: M, id: string | number) => boolean)
  | ({ readonly $and?: readonly Filter<M>[]; readonly $or?: readonly Filter<M>[] } & { readonly [field: string]: unknown })

type Test = (metadata: JsonObject, id: string | number) => boolean

const COMPARE: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  $eq: (a, b) => a === b,
  $ne: (a, b) => a !== b,
  $gt: (a, b) => comparable(a, b) && a! > b!,
  $gte: (a, b) => comparable(a, b) && a! >= b!,
  $lt: (a, b) => comparable(a, b) && a! < b!,
  $lte: (a, b) => comparable(a, b) && a! <= b!,
  $in: (a, b) => (b as readonly unknown[]).includes(a),
  $nin: (a, b) => !(b as readonly unknown[]).includes(a),
}
const NEGATED = ['$ne', '$nin']

const comparable = (a: unknown, b: unknown): boolean => typeof a === typeof b && (typeof a === 'number' || typeof a === 'string')

/** A filter as a function, checked. */
export function compileFilter(filter: unknown): Test {
  if (typeof filter === 'function') return filter as Test
  if (!isObject(filter)) throw expected('filter', 'a function of metadata and id, or an object of fields', filter)
  const tests = Object.entries(filter).map(([field, wanted]): Test => {
    if (field === '$and' || field === '$or') {
      if (!Array.isArray(wanted)) throw expected(`filter: ${field}`, 'an array of filters', wanted)
      const list = wanted.map(compileFilter)
      return field === '$and' ? (m, id) => list.every((test) => test(m, id)) : (m, id) => list.some((test) => test(m, id))
    }
    if (field.startsWith('$')) throw expected('filter', 'fields, $and or $or', field)
    const conditions = isObject(wanted) ? wanted : Array.isArray(wanted) ? { $in: wanted } : { $eq: wanted }
    const all = Object.entries(conditions).map(([operator, value]): ((field: unknown) => boolean) => {
      const compare = Object.hasOwn(COMPARE, operator) ? COMPARE[operator]! : undefined
      if (compare === undefined) {
        const near = nearest(operator, Object.keys(COMPARE))
        throw expected(`filter: ${field}`, `one of ${Object.keys(COMPARE).join(', ')}`, operator, near && `Did you mean ${show(near)}?`)
      }
      if (/^\$n?in$/.test(operator) && !Array.isArray(value)) throw expected(`filter: ${field}.${operator}`, 'an array', value)
      return (own) => {
        if (!Array.isArray(own)) return compare(own, value)
        return NEGATED.includes(operator) ? own.every((each) => compare(each, value)) : own.some((each) => compare(each, value))
      }
    })
    return (metadata) => all.every((test) => test(metadata[field]))
  })
  return (metadata, id) => tests.every((test) => test(metadata, id))
}
