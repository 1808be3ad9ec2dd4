// What labels mean: classes by name or number, or scores.
import { expected, nearest, show, Words } from '../errors.ts'
import type { Example } from './examples.ts'

/** The label of an example as a model takes it. */
export interface Labelling {
  /** By class; undefined for scores. */
  readonly names: readonly string[] | undefined
  of(example: Example): number
}

/** A class's number beyond this is no class. */
const MOST_CLASSES = 10_000

const isWhole = (label: string | number): boolean => /^\d+$/.test(String(label))
const isNumber = (label: string | number): boolean => String(label).trim() !== '' && Number.isFinite(Number(label))

/** Scores: finite numbers. */
export const SCORES: Labelling = {
  names: undefined,
  of({ place, label }) {
    if (label !== undefined && isNumber(label)) return Number(label)
    throw expected(`${place}: label`, 'a number', label, 'Without regression labels are classes', 'invalid_file')
  },
}

/**
 * The classes of a training file: names in the order of their code units, whole numbers as they are, so that a 2 is class 2 in every file.
 *
 * @param given names of the classes 0, 1, ... in the caller's order
 */
export function classesOf(examples: readonly Example[], given?: readonly string[]): Labelling {
  const labels = [...new Set(examples.map(({ label }) => label!))]
  if (labels.length === 1 && examples.length > 1)
    throw expected(
      `${examples[0]!.place}: label`,
      'one of two classes or more',
      new Words(`${show(labels[0])} here and in all ${examples.length} examples`),
      'From one class nothing can be learnt: add examples of others, or name another column',
      'invalid_file',
    )
  if (given !== undefined) return labelling(given)
  if (!labels.every(isNumber)) return labelling([...new Set(labels.map(String))].sort(byCodeUnits))
  for (const { place, label } of examples) {
    if (isWhole(label!) && Number(label) < MOST_CLASSES) continue
    const fix = Number.isInteger(Number(label))
      ? 'Test files hide their labels so: leave those rows out'
      : 'Scores are learnt by regression'
    throw expected(`${place}: label`, `a class, a whole number from 0 to ${MOST_CLASSES - 1}`, label, fix, 'invalid_file')
  }
  const most = labels.reduce<number>((greatest, label) => Math.max(greatest, Number(label)), 1)
  return labelling(Array.from({ length: most + 1 }, (_, i) => `LABEL_${i}`))
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Labels of known classes: a name, or the number of one. */
export function labelling(names: readonly string[]): Labelling {
  const ids = new Map(names.map((name, i) => [name, i]))
  return {
    names,
    of({ place, label }) {
      const id = ids.get(String(label)) ?? (isWhole(label!) && Number(label) < names.length ? Number(label) : undefined)
      if (id !== undefined) return id
      const near = nearest(String(label), names)
      const some = names.slice(0, 10).map((name) => show(name))
      const wanted = `one of the classes ${some.join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}`
      throw expected(`${place}: label`, wanted, label ?? new Words('none'), near && `Did you mean ${near}?`, 'invalid_file')
    },
  }
}

/** Examples of the same text, or pair, that have different labels. */
export function conflicts(examples: readonly Example[]): readonly [Example, Example][] {
  const seen = new Map<string, Example>()
  const found: [Example, Example][] = []
  for (const example of examples) {
    const key = JSON.stringify([example.text, example.pair])
    const first = seen.get(key)
    if (first === undefined) seen.set(key, example)
    else if (String(first.label) !== String(example.label)) found.push([first, example])
  }
  return found
}
