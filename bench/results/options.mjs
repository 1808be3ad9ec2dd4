// The command line of the measurements: one folder, and options that all have a default.
import { parseArgs } from 'node:util'

/** The folder, the options as texts, and those that are numbers. `threads` has no default. */
export function readOptions(name, defaults) {
  const options = Object.fromEntries(Object.entries(defaults).map(([option, value]) => [option, { type: 'string', default: value }]))
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { ...options, threads: { type: 'string' } } })
  if (positionals.length !== 1) {
    const shown = Object.keys(defaults).map((option) => `[--${option} ${defaults[option]}]`)
    process.stderr.write(`usage: npm run ${name} -- FOLDER ${shown.join(' ')} [--threads N]\n`)
    process.exit(2)
  }
  const numbers = Object.fromEntries(Object.entries(values).flatMap(([option, value]) => (isNaN(value) ? [] : [[option, Number(value)]])))
  return { folder: positionals[0], values, numbers }
}
