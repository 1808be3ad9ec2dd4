// PyTorch's best setting on this machine: every way of sharing two cores between torch and BLAS, each in a process of its own; and with the best of them
// what OpenBLAS is told of the processor, which it may not know, and large blocks that the allocator keeps.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Side } from './side.ts'

/** Environment of a PyTorch process; what is empty is not set. */
export type Setting = Readonly<Record<string, string>>

/** The setting and the least milliseconds that a step ever took under it: what else the machine does only adds to them. */
export interface Searched {
  readonly setting: Setting
  readonly ms: number
}

const BLAS = '/usr/lib/x86_64-linux-gnu'

function* settings(): Generator<Setting> {
  for (const blas of ['openblas-pthread', 'openblas-openmp'])
    for (const torch of ['1', '2'])
      for (const threads of ['1', '2'])
        for (const wait of ['', 'ACTIVE', 'PASSIVE'])
          yield {
            LD_LIBRARY_PATH: path.join(BLAS, blas),
            TORCH_THREADS: torch,
            OPENBLAS_NUM_THREADS: threads,
            ...(wait !== '' && { OMP_WAIT_POLICY: wait }),
          }
}

/** glibc gives blocks of megabytes back to the system at once, and takes them anew, page by page. */
const KEEP = { MALLOC_MMAP_THRESHOLD_: String(2 ** 32), MALLOC_TRIM_THRESHOLD_: String(2 ** 32) }

/** A setting with OpenBLAS's kernels for other processors than that which it takes this for, whatever the shell says of it, and another allocator. */
function* variants(setting: Setting): Generator<Setting> {
  const shares = Object.fromEntries(Object.entries(setting).filter(([name]) => !/^MALLOC|CORETYPE|L2_SIZE/.test(name)))
  for (const keep of [{}, KEEP])
    for (const core of ['', 'Haswell', 'SkylakeX']) yield { ...shares, OPENBLAS_CORETYPE: core, OPENBLAS_L2_SIZE: '', ...keep }
}

export class Settings {
  constructor(
    private readonly file: string,
    private readonly start: (setting: Setting) => Promise<Side>,
  ) {}

  /** All that were measured, the quickest first. */
  async known(): Promise<Searched[]> {
    const text = await readFile(this.file, 'utf8').catch(() => '[]')
    return (JSON.parse(text) as Searched[]).sort((a, b) => a.ms - b.ms)
  }

  /** Measures those whose description has `only` in it, then variants of the quickest, and keeps the least of every search. */
  async search(measure: (side: Side) => Promise<number>, only: string): Promise<void> {
    const results = new Map((await this.known()).map((one) => [JSON.stringify(one.setting), one]))
    for (const setting of settings()) if (describe(setting).includes(only)) await this.measured(setting, measure, results)
    const { setting } = (await this.known())[0]!
    for (const variant of variants(setting)) await this.measured(variant, measure, results)
  }

  private async measured(setting: Setting, measure: (side: Side) => Promise<number>, results: Map<string, Searched>): Promise<void> {
    const side = await this.start(setting)
    try {
      const key = JSON.stringify(setting)
      const ms = Math.min(await measure(side), results.get(key)?.ms ?? Infinity)
      results.set(key, { setting, ms })
      process.stderr.write(`${ms.toFixed(0).padStart(6)} ms  ${describe(setting)}\n`)
    } finally {
      side.end()
    }
    await mkdir(path.dirname(this.file), { recursive: true })
    await writeFile(this.file, JSON.stringify([...results.values()], null, 1))
  }
}

export function describe({ LD_LIBRARY_PATH, ...rest }: Setting): string {
  return [path.basename(LD_LIBRARY_PATH!), ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(' ')
}
