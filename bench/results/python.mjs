// Scripts of Python beside those of this folder.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'

/** The lines of JSON that a script prints, as they come. Settings of BLAS are the environment's. */
export async function* pythonLines(program, script, args) {
  const child = spawn(program, [path.join(import.meta.dirname, script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  closed.catch(() => {}) // Thrown below; a script that cannot be started prints nothing.
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line)
  const [code] = await closed
  if (code !== 0) throw new Error(`${program} ${script} ended with ${code}`)
}

/** The one line of a script that prints one. */
export async function python(program, script, args) {
  let result
  for await (const line of pythonLines(program, script, args)) result = line
  return result
}
