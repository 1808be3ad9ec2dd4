// Kills a training at a moment, lets it go on, and tells whether it ended in the weights of one that was never killed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'
import { inlineAssets } from '../../scripts/assets.mjs'
import { BertForSequenceClassification } from '../../src/index.node.ts'
import { readSafetensors } from './safetensors.ts'

export interface Kill {
  /** File operations of the Trainer after which the process kills itself. */
  readonly operations?: number
  /** Or milliseconds after it began to train. */
  readonly milliseconds?: number
}

export class KilledTraining {
  private constructor(
    private readonly main: string,
    readonly folder: string,
  ) {}

  static async create(): Promise<KilledTraining> {
    const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-killed-'))
    const main = path.join(folder, 'main.mjs')
    await build({
      entryPoints: [path.join(import.meta.dirname, 'train-main.ts')],
      outfile: main,
      bundle: true,
      format: 'esm',
      platform: 'node',
      plugins: [inlineAssets()],
      logLevel: 'warning',
    })
    return new KilledTraining(main, folder)
  }

  dispose(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }

  /** Trains in a folder until the end, or until it is killed; resolves with how long it trained and whether it was killed. */
  run(output: string, { operations, milliseconds }: Kill = {}): Promise<{ killed: boolean; trained: number }> {
    return new Promise((resolve, reject) => {
      const args = [this.main, path.join(this.folder, output), ...(operations === undefined ? [] : [String(operations)])]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
      let [said, complaint, began] = ['', '', 0]
      child.stdout.on('data', (text) => {
        said += String(text)
        if (began > 0 || !said.includes('ready')) return
        began = performance.now()
        if (milliseconds !== undefined) setTimeout(() => child.kill('SIGKILL'), milliseconds)
      })
      child.stderr.on('data', (text) => (complaint += String(text)))
      child.on('exit', (code, signal) => {
        if (signal === 'SIGKILL' || code === 0) resolve({ killed: !said.includes('done'), trained: performance.now() - began })
        else reject(new Error(`the training ended with ${code}: ${complaint}`))
      })
    })
  }

  /** Every checkpoint that is there loads: weights, moments and state. Resolves with their number. */
  async checkWhole(output: string): Promise<number> {
    const names = (await readdir(path.join(this.folder, output)).catch(() => [])).filter((name) => /^checkpoint-\d+$/.test(name))
    for (const name of names) {
      const at = (file: string): string => path.join(this.folder, output, name, file)
      const model = await BertForSequenceClassification.fromPretrained(path.dirname(at('x')), { threads: 0 })
      const parameters = model.info().parameters
      await model.dispose()
      const moments = [...readSafetensors(await readFile(at('optimizer.safetensors'))).values()]
      const values = moments.reduce((sum, { data }) => sum + data.length, 0)
      if (values !== 2 * parameters) throw new Error(`${name}: ${values} moments of ${parameters} parameters`)
      JSON.parse(await readFile(at('trainer_state.json'), 'utf8'))
    }
    return names.length
  }

  async hash(output: string): Promise<string> {
    return createHash('sha256')
      .update(await readFile(path.join(this.folder, output, 'final/model.safetensors')))
      .digest('hex')
  }

  /** Kills at each of the moments in turn, then lets it end. Resolves with the checkpoints found whole after the kills. */
  async killed(output: string, kills: readonly Kill[]): Promise<{ kills: number; checkpoints: number }> {
    let [count, checkpoints] = [0, 0]
    for (const kill of kills) {
      const { killed } = await this.run(output, kill)
      checkpoints += await this.checkWhole(output)
      if (!killed) return { kills: count, checkpoints }
      count++
    }
    await this.run(output)
    return { kills: count, checkpoints }
  }
}
