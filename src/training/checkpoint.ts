// Checkpoints of a training: whole or not there. A folder is written under another name, synced and renamed; what a killed run left half is cleared away.
import { BertletError, expected, show, Words } from '../errors.ts'
import { isObject, parseObject, type JsonObject } from '../json.ts'
import { seldom, type BertPreTrainedModel } from '../models/model.ts'
import type { WithFiles } from '../models/save.ts'
import { StoreSink } from '../models/store-sink.ts'
import type { Folder } from '../weights/folder.ts'
import { loadTensors } from '../weights/load.ts'
import { toHuggingFace } from '../weights/names.ts'
import { readHeader, type TensorInfo } from '../weights/safetensors.ts'
import { writeSafetensors, type TensorToWrite } from '../weights/write-safetensors.ts'
import type { Sink } from '../weights/sink.ts'
import type { ByteReader } from '../weights/source.ts'
import type { TrainerState } from './callbacks.ts'
import { checksum, verifyFiles } from './checksums.ts'
import type { HeadTraining } from './head-training.ts'
import type { Position } from './loop.ts'
import { moments, type OptimizerCounters } from './optimizer.ts'

/** Of a checkpoint's files; raised when what they hold changes. */
const VERSION = 2
const OPTIMIZER = 'optimizer.safetensors'
const STATE = 'trainer_state.json'
const CHECKSUMS = 'checksums.json'
const OTHER = 'Resume from another checkpoint, or begin anew in another output_dir'

/** What trainer_state.json holds beside version and counters. */
export interface SavedState {
  readonly state: TrainerState
  readonly position: Position
  readonly callbacks: Readonly<Record<string, JsonObject>>
  /** What decides the bits of the result. */
  readonly arguments: Readonly<Record<string, string | number>>
}

export class Checkpoints {
  constructor(
    private readonly folder: Folder,
    private readonly model: BertPreTrainedModel,
    private readonly tokenizer: WithFiles | undefined,
  ) {}

  /** Clears away what a killed run left, and says which checkpoint a training begins with. */
  async open(resume: boolean | string): Promise<string | undefined> {
    const { folder } = this
    const names = await folder.list()
    for (const name of names) {
      const [, whole, end] = /^(checkpoint-\d+)\.(incomplete|old)$/.exec(name) ?? []
      if (whole === undefined) continue
      // Between two renames a checkpoint that is replaced has only its other name.
      if (end === 'old' && !names.includes(whole)) await folder.rename(name, whole)
      else await folder.remove(name)
    }
    const whole = await this.list()
    if (resume === true) return whole.at(-1)
    if (typeof resume === 'string') {
      const name = resume.replace(/[/\\]+$/, '').replace(/^.*[/\\]/, '')
      if (whole.includes(name)) return name
      const found = whole.length === 0 ? 'no checkpoint' : whole.join(', ')
      throw expected('resume_from_checkpoint', `a checkpoint in ${folder.name}`, resume, `There is ${found}`, 'not_found')
    }
    if (whole.length === 0) return undefined
    const fix = 'Pass resume_from_checkpoint: true to go on from it, or choose another output_dir'
    throw expected(
      'output_dir',
      'a folder without checkpoints for a training from its start',
      new Words(`${folder.name} with ${whole.at(-1)}`),
      fix,
    )
  }

  /** Names of the whole checkpoints, oldest first. */
  private async list(): Promise<string[]> {
    const step = (name: string): number => Number(/^checkpoint-(\d+)$/.exec(name)?.[1] ?? NaN)
    return (await this.folder.list()).filter((name) => step(name) >= 0).sort((a, b) => step(a) - step(b))
  }

  async write(name: string, saved: SavedState, training: HeadTraining): Promise<void> {
    const { folder, model, tokenizer } = this
    const temporary = `${name}.incomplete`
    await folder.remove(temporary)
    const files = folder.sink(temporary)
    const sums: Record<string, number[]> = {}
    const sink: Sink = {
      async write(file, pieces) {
        let bytes = 0
        const own: number[] = (sums[file] = [])
        const summed = async function* (): AsyncGenerator<Uint8Array> {
          for await (const piece of pieces) {
            own.push(checksum(piece))
            bytes += piece.length
            yield piece
          }
        }
        await writing(
          folder,
          `${name}/${file}`,
          () => files.write(file, summed()),
          () => bytes,
        )
      },
    }
    const json = (file: string, value: object): Promise<void> =>
      sink.write(file, [new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`)])
    try {
      await model.savePretrained(sink, tokenizer && { tokenizer })
      const states = training
        .states()
        .map(({ name: of, shape, read }): TensorToWrite => ({ name: of, dtype: 'F32', shape, data: () => new Uint8Array(read().buffer) }))
      await sink.write(OPTIMIZER, writeSafetensors(states, { format: 'pt', version: String(VERSION) }))
      const { state, ...rest } = saved
      await json(STATE, { format_version: VERSION, ...state, ...rest, counters: training.counters })
      await json(CHECKSUMS, sums)
      await writing(folder, name, () => this.place(temporary, name))
    } catch (error) {
      await folder.remove(temporary).catch(() => undefined)
      throw error
    }
  }

  /** Puts a written folder in its place, and gives back that of one that was there. */
  private async place(temporary: string, name: string): Promise<void> {
    const { folder } = this
    await folder.sync(temporary)
    const replaces = (await folder.list()).includes(name)
    if (replaces) await folder.rename(name, `${name}.old`)
    await folder.rename(temporary, name)
    if (replaces) await folder.remove(`${name}.old`)
  }

  /** Removes the oldest beyond `limit`, but neither the newest nor the best. */
  async rotate(limit: number | undefined, newest: string, best: string | undefined): Promise<void> {
    if (limit === undefined) return
    const { folder } = this
    const all = await this.list()
    const kept = new Set([newest, best ?? newest])
    let excess = all.length - Math.max(limit, kept.size)
    for (const name of all) {
      if (excess <= 0) return
      if (kept.has(name)) continue
      // Half removed it must not look whole.
      await folder.rename(name, `${name}.incomplete`)
      await folder.remove(`${name}.incomplete`)
      excess--
    }
  }

  /** Puts a checkpoint's weights into the model and its moments into the optimizer; everything is checked before anything is changed. */
  async read(name: string, wanted: SavedState['arguments'], training: HeadTraining): Promise<SavedState> {
    const { saved, counters } = await this.readState(name, wanted)
    const moment = await this.readOptimizer(name)
    await this.verify(name)
    await this.readWeights(name)
    await training.restore(moment, counters)
    return saved
  }

  /** Holds every byte against the checksums that were written with it. */
  private async verify(name: string): Promise<void> {
    const source = this.folder.source(name)
    const file = `${name}/${CHECKSUMS}`
    const text = await source.text(CHECKSUMS)
    if (text === undefined) throw refused(file, 'a file that the Trainer wrote', 'none')
    await verifyFiles(source, name, parseObject(text, file), refused)
  }

  /** Puts a checkpoint's weights into the model. */
  async readWeights(name: string): Promise<void> {
    const { loaded } = this.model
    const { engine, specs, adapter } = loaded
    const { store } = engine
    await engine.exclusively(async () => {
      if (adapter) return (await seldom()).readAdapter(this.folder.source(name), loaded, adapter)
      const sink = new StoreSink(engine, () => new Map(specs.map((spec) => [spec.name, store.get(spec.held)])))
      try {
        await loadTensors(this.folder.source(name), specs, sink)
      } finally {
        sink.close()
      }
    })
  }

  private async readState(name: string, wanted: SavedState['arguments']): Promise<{ saved: SavedState; counters: OptimizerCounters }> {
    const file = `${name}/${STATE}`
    const text = await this.folder.source(name).text(STATE)
    if (text === undefined) throw refused(file, 'a file that the Trainer wrote', 'none')
    const { format_version, counters, position, callbacks, arguments: given, ...state } = parseObject(text, file)
    if (format_version === undefined) throw refused(`${file}: format_version`, String(VERSION), 'none: not a checkpoint of bertlet')
    if (format_version !== VERSION) {
      const age = Number(format_version) > VERSION ? 'newer' : 'older'
      const fix = `It is of ${age === 'newer' ? 'a newer' : 'an older'} bertlet: resume with that one, or load the weights with fromPretrained()`
      throw expected(`${file}: format_version`, String(VERSION), format_version, fix, 'invalid_file')
    }
    const numbers = (value: unknown, names: readonly string[]): boolean =>
      isObject(value) && names.every((each) => Number.isFinite(value[each]))
    for (const [part, value, names] of [
      ['counters', counters, ['steps', 'beta1_power', 'beta2_power']],
      ['position', position, ['epoch', 'step', 'loss_sum', 'total_loss', 'logged_step']],
      ['state', state, ['global_step', 'epoch', 'max_steps', 'num_input_tokens_seen']],
    ] as const) {
      if (!numbers(value, names)) throw expected(`${file}: ${part}`, `numbers ${names.join(', ')}`, value, OTHER, 'invalid_file')
    }
    if (!isObject(given) || !isObject(callbacks) || !Array.isArray(state.log_history))
      throw expected(file, 'arguments, callbacks and log_history', state, OTHER, 'invalid_file')
    for (const argument of Object.keys({ ...wanted, ...given })) {
      const value = wanted[argument]
      if (given[argument] === value) continue
      throw expected(
        argument,
        `${show(given[argument])}, with which ${name} was made`,
        value,
        `Give the same to resume; ${OTHER.toLowerCase()}`,
      )
    }
    const saved = { state, position, callbacks, arguments: given } as unknown as SavedState
    return { saved, counters: counters as OptimizerCounters }
  }

  /** Checks every moment, and gives the way to read them. */
  private async readOptimizer(name: string): Promise<(moment: string, shape: readonly number[]) => Promise<Float32Array>> {
    const source = this.folder.source(name)
    const file = `${name}/${OPTIMIZER}`
    const withFile = async <T>(work: (reader: ByteReader) => Promise<T>): Promise<T> => {
      const reader = await source.open(OPTIMIZER)
      if (reader === undefined) throw refused(file, 'a file that the Trainer wrote', 'none')
      try {
        return await work(reader)
      } finally {
        await reader.close()
      }
    }
    const { tensors } = await withFile((reader) => readHeader(reader, file))
    const shapes = new Map(
      this.model.loaded.specs.flatMap(({ name: of, shape }) =>
        moments(toHuggingFace(of, 'bert.')).map((moment) => [moment, shape] as const),
      ),
    )
    for (const tensor of tensors.values()) checkMoment(file, tensor, shapes.get(tensor.name))
    return (moment) =>
      withFile(async (reader) => {
        const tensor = tensors.get(moment)
        if (tensor === undefined) throw refused(`${file}: tensor ${show(moment)}`, 'a moment of a trained parameter', 'none')
        const bytes = new Uint8Array(tensor.end - tensor.start)
        await reader.read(tensor.start, tensor.end, bytes)
        return new Float32Array(bytes.buffer)
      })
  }
}

function checkMoment(file: string, { name, dtype, shape }: TensorInfo, wanted: readonly number[] | undefined): void {
  const subject = `${file}: tensor ${show(name)}`
  if (wanted === undefined) throw refused(subject, 'moments of parameters of this model', 'another name')
  if (dtype !== 'F32') throw refused(subject, 'dtype F32', dtype)
  if (shape.join() !== wanted.join()) throw refused(subject, `shape [${wanted.join(', ')}]`, `[${shape.join(', ')}]`)
}

const refused = (subject: string, wanted: string, got: string): BertletError =>
  expected(subject, wanted, new Words(got), OTHER, 'invalid_file')

/** Says of a failed write which file it was, how far it came, and what can be done. */
export async function writing<T>(folder: Folder, file: string, work: () => Promise<T>, bytes?: () => number): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof BertletError) throw cause
    const full = (cause as { code?: string }).code === 'ENOSPC'
    const far = bytes === undefined ? '' : ` within its first ${bytes()} bytes`
    const fix = full ? 'Free some space or set save_total_limit' : 'Make the folder writable'
    throw new BertletError(
      'write_failed',
      `${folder.name}: expected to write ${file}, got ${(cause as Error).message}${far}`,
      `${fix}, then resume: checkpoints that were whole before still are`,
      { cause },
    )
  }
}
