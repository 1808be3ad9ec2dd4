// Entities of tag sequences, and how many were found: as seqeval counts, by default as conlleval does, or strictly by a scheme.
import { checkOptions, expected, Words } from '../errors.ts'

export interface Entity {
  readonly type: string
  /** Words [start, end). */
  readonly start: number
  readonly end: number
}

export type TagScheme = 'IOB2' | 'IOBES'

export interface EntityOptions {
  /** 'strict': only entities that the scheme allows count; else any tag that follows from conlleval's rules begins one. */
  readonly mode?: 'strict'
  /** Of strict counting; IOB2 by default. */
  readonly scheme?: TagScheme
}

export interface EntityScore {
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** Entities of the gold tags. */
  readonly support: number
}

export interface EntityMetrics extends EntityScore {
  /** Words whose tag is right. */
  readonly accuracy: number
  readonly types: Readonly<Record<string, EntityScore>>
}

/** The entities of a sentence. */
export function entitiesOf(tags: readonly string[], { mode, scheme = 'IOB2' }: EntityOptions = {}): Entity[] {
  if (mode === undefined) return lenient(tags)
  if (mode !== 'strict') throw expected('mode', 'strict, or none', mode)
  if (scheme === 'IOB2') return iob2(tags)
  if (scheme === 'IOBES') return iobes(tags)
  throw expected('scheme', 'IOB2 or IOBES', scheme)
}

/** conlleval's rules: a change of type ends an entity and begins one, and so does what B, E and S say. */
function lenient(tags: readonly string[]): Entity[] {
  const found: Entity[] = []
  let [before, typeBefore, start] = ['O', '', 0]
  ;[...tags, 'O'].forEach((tag, i) => {
    const [prefix, type] = [tag[0] ?? 'O', tag.slice(1).replace(/^[^-]*-/, '') || '_']
    const inside = before !== 'O' && before !== '.'
    const ends =
      before === 'E' || before === 'S' || ((before === 'B' || before === 'I') && /[BSO]/.test(prefix)) || (inside && type !== typeBefore)
    if (ends) found.push({ type: typeBefore, start, end: i })
    const begins =
      prefix === 'B' ||
      prefix === 'S' ||
      (/[ESO]/.test(before) && /[EI]/.test(prefix)) ||
      (prefix !== 'O' && prefix !== '.' && type !== typeBefore)
    if (begins) start = i
    ;[before, typeBefore] = [prefix, type]
  })
  return found
}

const parted = (tag: string): [prefix: string, type: string] => [tag[0] ?? 'O', tag.slice(1).replace(/^-+|-+$/g, '') || '_']

/** B, and I of the same type after it. */
function iob2(tags: readonly string[]): Entity[] {
  const found: Entity[] = []
  for (let start = 0; start < tags.length; start++) {
    const [prefix, type] = parted(tags[start]!)
    if (prefix !== 'B') continue
    let end = start + 1
    while (end < tags.length && tags[end]![0] === 'I' && parted(tags[end]!)[1] === type) end++
    found.push({ type, start, end })
  }
  return found
}

/** S alone, or B, any I and E, all of one type. */
function iobes(tags: readonly string[]): Entity[] {
  const found: Entity[] = []
  for (let start = 0; start < tags.length; start++) {
    const [prefix, type] = parted(tags[start]!)
    if (prefix === 'S') found.push({ type, start, end: start + 1 })
    if (prefix !== 'B') continue
    let end = start + 1
    while (end < tags.length && tags[end]![0] === 'I' && parted(tags[end]!)[1] === type) end++
    if (end < tags.length && tags[end]![0] === 'E' && parted(tags[end]!)[1] === type) found.push({ type, start, end: end + 1 })
  }
  return found
}

/** Precision, recall and F1 over all entities of all sentences, and of each type. Where there is nothing to divide by, 0. */
export function entityMetrics(
  gold: readonly (readonly string[])[],
  found: readonly (readonly string[])[],
  options: EntityOptions = {},
): EntityMetrics {
  checkOptions('entityMetrics', options, ['mode', 'scheme'])
  if (gold.length !== found.length) throw expected('found', `${gold.length} sentences, as many as gold`, new Words(String(found.length)))
  const counts = new Map<string, [hit: number, found: number, gold: number]>()
  const count = (type: string, field: 0 | 1 | 2): void => {
    const entry = counts.get(type) ?? [0, 0, 0]
    entry[field]++
    counts.set(type, entry)
  }
  let [words, right] = [0, 0]
  gold.forEach((tags, i) => {
    const ours = found[i]!
    if (ours.length !== tags.length)
      throw expected(`found[${i}]`, `${tags.length} tags, as many as gold has`, new Words(String(ours.length)))
    words += tags.length
    right += tags.filter((tag, w) => tag === ours[w]).length
    const key = ({ type, start, end }: Entity): string => `${start} ${end} ${type}`
    const wanted = new Set(entitiesOf(tags, options).map((entity) => (count(entity.type, 2), key(entity))))
    for (const entity of entitiesOf(ours, options)) {
      count(entity.type, 1)
      if (wanted.has(key(entity))) count(entity.type, 0)
    }
  })
  const types = [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
  const all = types.reduce(([a, b, c], [, [x, y, z]]) => [a + x, b + y, c + z] as const, [0, 0, 0] as readonly [number, number, number])
  return {
    ...scoreOf(all),
    accuracy: words === 0 ? 0 : right / words,
    types: Object.fromEntries(types.map(([type, each]) => [type, scoreOf(each)])),
  }
}

function scoreOf([hits, found, gold]: readonly [number, number, number]): EntityScore {
  const precision = found === 0 ? 0 : hits / found
  const recall = gold === 0 ? 0 : hits / gold
  const f1 = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall)
  return { precision, recall, f1, support: gold }
}
