// Plain text to documents of sentences.
import { expected } from '../errors.ts'

export interface DocumentOptions {
  /**
   * How sentences stand in the text. 'line': one a line, as google-research/bert takes them. 'split': running text, whose lines are joined to
   * paragraphs and split after . ! ? or an ellipsis, with the quotes and brackets that close there, before white space that no small letter
   * follows; not after a title (Mr. Dr. ...) or a single letter. After 。！？ no white space is needed. A blank line ends a sentence.
   */
  readonly sentences?: 'line' | 'split'
  /** What ends a document: this many blank lines in a row (1), or lines that match, each of which begins the next document. */
  readonly document_break?: number | RegExp
}

/** A paragraph without an end must not fill memory: its sentences are handed on beyond this. */
const LONGEST_PARAGRAPH = 1 << 16 // characters

export function checkDocumentOptions({ sentences = 'line', document_break = 1 }: DocumentOptions): void {
  if (sentences !== 'line' && sentences !== 'split') throw expected('sentences', '"line" or "split"', sentences)
  if (!(document_break instanceof RegExp) && !(Number.isInteger(document_break) && document_break >= 1))
    throw expected('document_break', 'a number of blank lines, 1 or more, or a regular expression', document_break)
}

/** Documents, each an array of its sentences. The end of a file ends none: give files one after the other. */
export async function* documents(
  lines: Iterable<string> | AsyncIterable<string>,
  { sentences = 'line', document_break = 1 }: DocumentOptions = {},
): AsyncGenerator<string[]> {
  let document: string[] = []
  let paragraph = ''
  let blanks = 0
  const endParagraph = (): void => {
    if (paragraph !== '') document.push(...splitSentences(paragraph))
    paragraph = ''
  }
  for await (const line of lines) {
    if (typeof line !== 'string') throw expected('corpus', 'lines of text', line)
    const text = line.trim()
    blanks = text === '' ? blanks + 1 : 0
    if (text === '') endParagraph()
    if (typeof document_break === 'number' ? blanks === document_break : line.search(document_break) >= 0) {
      endParagraph()
      if (document.length > 0) yield document
      document = []
    }
    if (text === '') continue
    if (sentences === 'line') document.push(text)
    else {
      paragraph += paragraph === '' ? text : ` ${text}`
      if (paragraph.length > LONGEST_PARAGRAPH) {
        const parts = splitSentences(paragraph)
        paragraph = parts.length > 1 ? parts.pop()! : ''
        document.push(...parts)
      }
    }
  }
  endParagraph()
  if (document.length > 0) yield document
}

const END =
  /[.!?\u2026]+["'_\u201d\u2019\u00bb)\]]*\s+(?=[^\sa-z\u00df-\u00f6\u00f8-\u00ff])|[\u3002\uff01\uff1f]+["\u201d\u2019\u300d\u300f\uff09]*\s*/g
const TITLES = new Set('Mr Mrs Ms Dr Prof St Mt Jr Sr Rev Hon Gen Capt Col Lt Sgt Sen Rep Gov No vs etc e.g i.e cf'.split(' '))

/** The sentences of a paragraph, by the rule of DocumentOptions. */
export function splitSentences(paragraph: string): string[] {
  return sentenceStarts(paragraph)
    .map((start, i, starts) => paragraph.slice(start, starts[i + 1]).trim())
    .filter((sentence) => sentence !== '')
}

/** Where they begin. */
export function sentenceStarts(paragraph: string): number[] {
  const starts = [0]
  for (const { 0: end, index } of paragraph.matchAll(END)) {
    if (end.trimEnd() === '.') {
      const word = /\S*$/.exec(paragraph.slice(Math.max(0, index - 32), index))![0].replace(/^[^\w]+/, '')
      if (/^[A-Za-z]$/.test(word) || TITLES.has(word)) continue
    }
    starts.push(index + end.length)
  }
  return starts
}
