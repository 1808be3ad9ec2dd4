// Documents of four public texts, and every tenth of them held out. Each kind of file says in its own way where a document begins.
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

/** Lines that open a section or give notice of one, of no more than this many characters. */
const HEADING = 200

/**
 * Name of a file -> how it is read.
 * `begins(line, blanks)`: a document begins here, `blanks` empty lines stand before. `drop`: lines that are no text. `mend`: undoes what a
 * copy did to the text. `wrapped`: a paragraph is many lines, else each line is one.
 */
const KINDS = [
  {
    // WikiText: an article begins at ` = Title = `, its sections at ` = = Title = = `. Headings go, and so does <unk>: three pieces that
    // tell each other would flatter a masked-word loss.
    name: /^wikitext/,
    begins: (line) => /^ = [^=].* = $/.test(line),
    drop: (line) => /^ (= )+.*( =)+ $/.test(line),
    mend: (line) => line.replace(/ @(.)@ /g, '$1').replaceAll('<unk>', ''),
  },
  {
    // Messages of presidents to Congress: a title after two empty lines or more.
    name: /^state-union/,
    begins: (line, blanks) => blanks >= 2 && line.length < HEADING && /message|address|state of the union/i.test(line),
    drop: (line) => /WEB RESOURCES|^\s*\S+\s*$/.test(line),
  },
  {
    // Inaugural addresses, without titles: after two empty lines a line with a stop or a greeting's comma or colon; headings have none.
    name: /^inaugural/,
    begins: (line, blanks) => blanks >= 2 && /[.,:;?!"]\s*$/.test(line),
    drop: () => false,
  },
  {
    // A novel of Project Gutenberg: a document is a chapter.
    name: /./,
    begins: (line) => /^chapter\b/i.test(line),
    drop: (line) => /^chapter\b|^End of the Project Gutenberg/i.test(line),
    mend: (line) => line.replaceAll('_', ''),
    wrapped: true,
  },
]

/** Documents of all .txt files of a folder, in the order of their names; each is its lines, an empty one after every paragraph. */
export async function documentsOf(folder) {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.txt')).sort()
  const found = []
  for (const name of names) {
    const { begins, drop, mend = (line) => line, wrapped = false } = KINDS.find((kind) => kind.name.test(name))
    let [document, blanks] = [[], 0]
    for (const line of (await readFile(path.join(folder, name), 'utf8')).split('\n')) {
      if (begins(line, blanks)) {
        found.push(document)
        document = []
      }
      blanks = line.trim() === '' ? blanks + 1 : 0
      if (drop(line)) continue
      const text = mend(line).trim()
      if (wrapped || text !== '') document.push(text, ...(wrapped ? [] : ['']))
    }
    found.push(document)
  }
  return found.filter((document) => document.some((line) => line !== ''))
}

/** Every tenth document is held out. Lines as createPretrainingData takes them: two empty ones end a document. */
export function split(documents) {
  const lines = (part) => part.flatMap((document) => [...document.filter((line, i) => line !== '' || document[i - 1] !== ''), '', ''])
  return { train: lines(documents.filter((_, i) => i % 10 !== 9)), heldOut: lines(documents.filter((_, i) => i % 10 === 9)) }
}

/** How those lines are to be read. */
export const READING = { sentences: 'split', document_break: 2 }
