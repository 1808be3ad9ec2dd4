// The curves of a training as SVG: loss beside metrics, from log.jsonl. Scales and lines are d3's.
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'

type Point = readonly [step: number, value: number]
interface Curve {
  readonly name: string
  readonly points: readonly Point[]
}

const [WIDTH, HEIGHT, LEFT, TOP] = [360, 240, 56, 28]
/** Apart for those who see few colours, too. */
const COLOURS = ['#4269d0', '#efb118', '#ff725c', '#3ca951', '#a463f2', '#6cc5b0', '#9c6b4e', '#97bbf5']
/** What a log holds beside losses and metrics. */
const OTHERS =
  /^(step|epoch|grad_norm|learning_rate|tokens|tokens_per_second)$|_(runtime|samples_per_second|pairs|tokens|thresh|total|standard_error)$/

/** Writes `training.svg` beside a log; nothing where nothing was logged. */
export async function plotTraining(folder: string): Promise<void> {
  const text = await readFile(path.join(folder, 'log.jsonl'), 'utf8').catch(() => '')
  const svg = trainingCurves(text)
  if (svg !== undefined) await writeFile(path.join(folder, 'training.svg'), svg)
}

/** The curves of a log's lines. */
export function trainingCurves(log: string): string | undefined {
  const curves = new Map<string, Map<number, number>>()
  for (const entry of log.split('\n').filter((each) => each !== '')) {
    const { step, ...values } = JSON.parse(entry) as Record<string, number>
    for (const [name, value] of Object.entries(values)) {
      if (OTHERS.test(name) || !Number.isFinite(value)) continue
      // A step that was done again after an interruption counts once.
      curves.set(name, (curves.get(name) ?? new Map<number, number>()).set(step!, value))
    }
  }
  const all = [...curves].map(([name, points]): Curve => ({ name, points: [...points].sort(([a], [b]) => a - b) }))
  const panels: (readonly [string, Curve[]])[] = [
    ['loss', all.filter(({ name }) => name.endsWith('loss'))],
    // What is in percent would flatten what is not.
    ['metrics', all.filter(({ name, points }) => !name.endsWith('loss') && points.every(([, y]) => Math.abs(y) <= 1))],
    [
      'metrics, in percent or of another size',
      all.filter(({ name, points }) => !name.endsWith('loss') && points.some(([, y]) => Math.abs(y) > 1)),
    ],
  ]
  const shown = panels.filter(([, list]) => list.length > 0)
  if (shown.length === 0) return undefined
  const width = shown.length * (WIDTH + LEFT + 24)
  const height = HEIGHT + TOP + 48
  const body = shown.map(([title, list], i) => panel(title, list, i * (WIDTH + LEFT + 24) + LEFT)).join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n${body}</svg>\n`
}

function panel(title: string, curves: readonly Curve[], left: number): string {
  const points = curves.flatMap((curve) => curve.points)
  const x = scaleLinear(extent(points.map(([step]) => step)), [0, WIDTH])
  const y = scaleLinear(extent(points.map(([, value]) => value)), [HEIGHT, 0]).nice()
  const path = line<Point>(
    ([step]) => round(x(step)),
    ([, value]) => round(y(value)),
  )
  const axes = [
    ...x.ticks(6).map((t) => `<text x="${round(x(t))}" y="${HEIGHT + 16}" text-anchor="middle">${x.tickFormat(6)(t)}</text>`),
    ...y
      .ticks(6)
      .map(
        (t) =>
          `<path d="M0,${round(y(t))}H${WIDTH}" stroke="#ddd"/><text x="-6" y="${round(y(t)) + 4}" text-anchor="end">${y.tickFormat(6)(t)}</text>`,
      ),
    `<text x="${WIDTH / 2}" y="${HEIGHT + 34}" text-anchor="middle">steps</text>`,
    `<text y="-12" font-weight="bold">${escape(title)}</text>`,
  ]
  const drawn = curves.map(({ name, points: list }, i) => {
    const colour = COLOURS[i % COLOURS.length]!
    const dots =
      list.length <= 50 ? list.map(([a, b]) => `<circle cx="${round(x(a))}" cy="${round(y(b))}" r="2" fill="${colour}"/>`).join('') : ''
    const legend = `<text x="${WIDTH - 4}" y="${14 + 14 * i}" text-anchor="end" fill="${colour}">${escape(name)}</text>`
    return `<path d="${path(list)}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots}${legend}\n`
  })
  return `<g transform="translate(${left},${TOP})">\n${axes.join('\n')}\n${drawn.join('')}</g>\n`
}

/** Least and most, apart. */
function extent(values: readonly number[]): [number, number] {
  const [least, most] = values.reduce(
    ([a, b], value) => [Math.min(a, value), Math.max(b, value)] as [number, number],
    [Infinity, -Infinity],
  )
  return least < most ? [least, most] : [least - 0.5, most + 0.5]
}

const round = (value: number): number => Math.round(10 * value) / 10
const escape = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
