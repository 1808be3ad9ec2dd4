// The text of a file, and where each part of it stands in the file.
import { Parser } from 'htmlparser2'
import { fromMarkdown } from 'mdast-util-from-markdown'
import { BertletError } from '../errors.ts'

/** The text for a reader, without markup. */
export interface Extracted {
  readonly text: string
  /** The place in the file's own text of a place in it. */
  place(at: number): number
}

export type Format = 'text' | 'markdown' | 'html'

export function formatOf(file: string): Format {
  if (/\.(html?|xhtml)$/i.test(file)) return 'html'
  return /\.(md|markdown|mdown|mkd)$/i.test(file) ? 'markdown' : 'text'
}

/** The characters of a file of text: UTF-8, or UTF-16 that says so. */
export function decode(bytes: Uint8Array): string {
  const sixteen = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  const name = sixteen ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8'
  if (!sixteen && bytes.includes(0)) throw notText('a NUL byte')
  try {
    return new TextDecoder(name, { fatal: true }).decode(bytes)
  } catch {
    throw notText(`bytes that are no ${name.toUpperCase()}`)
  }
}

const notText = (got: string): BertletError => new BertletError('invalid_file', `expected text, got ${got}`)

export function extract(format: Format, source: string): Extracted {
  if (format === 'text') return { text: source, place: (at) => at }
  const words = new Words()
  if (format === 'html') fromHtml(source, words)
  else fromTree(source, fromMarkdown(source), words)
  return words
}

/** Words with their places; white space between them says only whether a paragraph ends. */
class Words implements Extracted {
  text = ''
  private gap = ''
  private readonly starts: number[] = []
  private readonly places: number[] = []

  /** Adds the words of a text that begins at `place` of the file. */
  add(text: string, place: number): void {
    let end = 0
    for (const { 0: word, index } of text.matchAll(/\S+/g)) {
      if (index > end) this.space()
      if (this.text !== '') this.text += this.gap
      this.gap = ''
      this.starts.push(this.text.length)
      this.places.push(place + index)
      this.text += word
      end = index + word.length
    }
    if (end < text.length) this.space()
  }

  space(): void {
    if (this.gap === '') this.gap = ' '
  }

  paragraph(): void {
    this.gap = '\n\n'
  }

  place(at: number): number {
    let [low, high] = [0, this.starts.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.starts[middle]! <= at) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : this.places[low - 1]! + at - this.starts[low - 1]!
  }
}

const UNSEEN = new Set(['script', 'style', 'template', 'noscript', 'svg', 'head'])
const INLINE = new Set(
  'a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q s samp small span strong sub sup time tt u var wbr'.split(' '),
)

function fromHtml(source: string, words: Words): void {
  let unseen = 0
  const tag = (name: string, step: number): void => {
    if (UNSEEN.has(name)) unseen += step
    // Of the head, the title is seen.
    if (name === 'title') unseen -= step
    if (name === 'br') words.space()
    else if (!INLINE.has(name)) words.paragraph()
  }
  const parser = new Parser({
    onopentagname: (name) => tag(name, 1),
    onclosetag: (name) => tag(name, -1),
    ontext: (text) => {
      if (unseen <= 0) words.add(text, parser.startIndex)
    },
  })
  parser.end(source)
}

interface Node {
  readonly type: string
  readonly value?: string
  readonly alt?: string | null
  readonly children?: readonly Node[]
  readonly position?: { readonly start: { readonly offset?: number }; readonly end: { readonly offset?: number } }
}

const WITHIN = new Set(['text', 'inlineCode', 'emphasis', 'strong', 'link', 'linkReference', 'image', 'imageReference', 'break', 'html'])

function fromTree(source: string, node: Node, words: Words): void {
  const { type, value, alt, children = [], position } = node
  if (!WITHIN.has(type)) words.paragraph()
  const [start, end] = [position?.start.offset ?? 0, position?.end.offset ?? source.length]
  if (type === 'break') words.space()
  else if (type === 'html') {
    if (!/^<!--/.test(value!)) addHtml(value!, start, words)
  } else if (typeof value === 'string') addFound(source.slice(start, end), value, start, words)
  else if (typeof alt === 'string') addFound(source.slice(start, end), alt, start, words)
  for (const child of children) fromTree(source, child, words)
  if (!WITHIN.has(type)) words.paragraph()
}

function addHtml(value: string, start: number, words: Words): void {
  const inner = new Parser({ ontext: (text) => words.add(text, start + inner.startIndex) })
  inner.end(value)
}

/** Line by line: markup may stand between the lines of a value, and what is escaped is looked for as far as it goes. */
function addFound(markup: string, value: string, start: number, words: Words): void {
  let from = 0
  for (const [i, line] of value.split('\n').entries()) {
    if (i > 0) words.space()
    const at = markup.indexOf(line, from)
    words.add(line, start + Math.max(at, from))
    if (at >= 0) from = at + line.length
  }
}
