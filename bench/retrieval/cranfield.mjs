// Cranfield's three files: abstracts, queries, judgements.
import { readFile } from 'node:fs/promises'
import path from 'node:path'

/** Records of `.I`, `.T`, `.W` ... sections. */
async function records(file) {
  return (await readFile(file, 'utf8'))
    .split(/^\.I /m)
    .slice(1)
    .map((record) => {
      const [id, ...sections] = record.split(/^\.([TABW])\s*\n/m)
      const field = (name) => (sections[sections.indexOf(name) + 1] ?? '').replace(/\s+/g, ' ').trim()
      return { id: Number(id), title: field('T'), text: sections.includes('W') ? field('W') : '' }
    })
}

/** Grades there run from 1, the best, to 4; -1 is not relevant. Gains are 5 - grade. Queries are numbered by their position. */
export async function readCranfield(folder) {
  const at = (name) => path.join(folder, name)
  const documents = (await records(at('cran.all.1400'))).map(({ id, title, text }) => ({
    id,
    // An abstract begins with its title.
    text: text.startsWith(title) ? text : `${title} ${text}`.trim(),
  }))
  const queries = (await records(at('cran.qry'))).map(({ text }, i) => ({ id: String(i + 1), text }))
  const qrels = {}
  for (const line of (await readFile(at('cranqrel'), 'utf8')).split('\n')) {
    const [query, id, grade] = line.trim().split(/\s+/).map(Number)
    if (Number.isFinite(grade)) (qrels[query] ??= {})[id] = grade > 0 ? 5 - grade : 0
  }
  return { documents, queries, qrels }
}
