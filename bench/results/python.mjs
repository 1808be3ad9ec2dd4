// Scripts of Python beside those of this folder.
import { spawn } from 'node:child_process'
import path from 'node:path'

/** What a script prints, as JSON. Settings of BLAS are the environment's. */
export function python(program, script, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [path.join(import.meta.dirname, script), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part) => (text += part))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`${program} ${script} ended with ${code}`))))
  })
}
