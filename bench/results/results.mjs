// Results, a line of JSON each in a folder's results.jsonl. A run that stands there is not run again: a measurement that was stopped goes on with what it lacks.
import { appendFile, mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'

export async function openResults(folder) {
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, 'results.jsonl')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code !== 'ENOENT') throw error
    return ''
  })
  const all = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line)) // prettier-ignore
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)

  /** Those that have all of these fields. */
  const of = (fields) => all.filter((result) => Object.entries(fields).every(([name, value]) => same(result[name], value)))

  async function keep(result) {
    process.stderr.write(`${JSON.stringify(result)}\n`)
    await appendFile(file, `${JSON.stringify(result)}\n`)
    all.push(result)
    return result
  }

  /** The result of a run, whose fields tell it from all others: seed, side, and the whole recipe. It begins only when its result is not there. */
  const once = async (run, begin) => of(run)[0] ?? (await keep({ ...run, ...(await begin()) }))

  return { of, keep, once }
}
