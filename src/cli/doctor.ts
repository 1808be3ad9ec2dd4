import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os'
import { BertModel, hubSettings, openModel, pipeline, type ModelInfo } from '../index.node.ts'
import { FAILURE } from './ending.ts'
import { loadOptions, sourceOptions, type ModelOptions } from './options.ts'
import { columns } from './output.ts'

/** Said by the build. */
declare const BERTLET_VERSION: string

export interface DoctorOptions extends ModelOptions {
  readonly json?: boolean
}

/** One thing that was looked at. */
interface Finding {
  readonly name: string
  readonly found: string
  /** What follows for bertlet. */
  readonly so: string
  /** bertlet cannot run without it. */
  readonly fatal?: boolean
}

/** `bertlet doctor`: what this machine and runtime can do, what will be used and why, shown by a run. */
export async function doctor(options: DoctorOptions, signal: AbortSignal): Promise<void> {
  const findings = [...machine(), ...webAssembly(), ...network(options), ...(await run(options, signal))]
  const healthy = !findings.some(({ fatal }) => fatal)
  if (options.json) process.stdout.write(`${JSON.stringify({ healthy, findings })}\n`)
  else {
    process.stdout.write(columns(findings.map(({ name, found, so }) => [name, found, so])))
    process.stdout.write(healthy ? '\nbertlet runs here.\n' : `\nbertlet does not run: ${findings.find(({ fatal }) => fatal)!.so}\n`)
  }
  if (!healthy) process.exitCode = FAILURE
}

function network(options: DoctorOptions): Finding[] {
  const { endpoint, cache_dir: folder, offline } = hubSettings(sourceOptions(options))
  return [
    { name: 'hub', found: endpoint, so: offline ? 'not asked: offline' : 'asked for models that are no folder and no installed package' },
    {
      name: 'cache',
      found: folder ?? 'none',
      so: folder === undefined ? 'files of the hub are not kept' : 'files of the hub are kept there',
    },
  ]
}

function machine(): Finding[] {
  const { bun, deno, node } = process.versions as Readonly<Record<string, string | undefined>>
  const engine = bun ? `bun ${bun}` : deno ? `deno ${deno}` : `node ${node}`
  const cores = availableParallelism()
  const limit = process.constrainedMemory?.() ?? 0
  const total = limit > 0 && limit < totalmem() ? limit : totalmem()
  return [
    { name: 'bertlet', found: BERTLET_VERSION, so: '' },
    { name: 'runtime', found: `${engine}, ${platform()} ${arch()}`, so: '' },
    { name: 'processor', found: cpus()[0]?.model ?? 'not told', so: '' },
    { name: 'cores', found: String(cores), so: `${Math.min(cores, 16)} compute threads unless --threads says otherwise` },
    {
      name: 'memory',
      found: `${gigabytes(total)}, ${gigabytes(freemem())} free`,
      so: 'a model and its activations take at most 4.3 GB, the end of 32-bit addresses',
    },
  ]
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

function webAssembly(): Finding[] {
  const simd = validates([0x41, 0, 0xfd, 15, 0xfd, 98])
  const relaxed = validates([0x41, 1, 0xfd, 15, 0x41, 2, 0xfd, 15, 0xfd, 0x80, 2])
  const shared = sharedMemory()
  const yes = (can: boolean): string => (can ? 'yes' : 'no')
  return [
    {
      name: 'wasm SIMD',
      found: yes(simd),
      so: simd ? 'the kernels compile' : 'the kernels need it: use Node 20.19 or later',
      fatal: !simd,
    },
    { name: 'wasm relaxed SIMD', found: yes(relaxed), so: 'not used: exact results need none of it' },
    {
      name: 'shared memory',
      found: yes(shared),
      so: shared ? 'threads work on one memory' : 'one thread computes: threads need it, so start the runtime so that it allows it',
    },
  ]
}

/** Whether the engine takes a function of these instructions, which leaves a v128. */
export function validates(instructions: readonly number[]): boolean {
  const body = [0, ...instructions, 0x0b]
  const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes]
  return WebAssembly.validate(
    new Uint8Array([
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      ...section(1, 1, 0x60, 0, 1, 0x7b),
      ...section(3, 1, 0),
      ...section(10, 1, body.length, ...body),
    ]),
  )
}

function sharedMemory(): boolean {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer
  } catch {
    return false
  }
}

/** Loads the model and embeds a text: what is used is what was used. A default model that is not installed is no illness. */
async function run(options: DoctorOptions, signal: AbortSignal): Promise<Finding[]> {
  const name = options.model === undefined ? 'default model' : 'model'
  const absent = (error: unknown, fatal: boolean): Finding => {
    signal.throwIfAborted()
    return { name, found: 'no', so: (error as Error).message, fatal }
  }
  try {
    openModel(options.model, sourceOptions(options))
  } catch (error) {
    if (options.model !== undefined) return [absent(error, true)]
    return [absent(error, false), ...(await runFresh(options, signal))]
  }
  try {
    return await runModel(name, options, signal)
  } catch (error) {
    return [absent(error, true)]
  }
}

async function runModel(name: string, options: DoctorOptions, signal: AbortSignal): Promise<Finding[]> {
  const start = performance.now()
  const embed = await pipeline('feature-extraction', options.model, { ...loadOptions(options), signal })
  try {
    const loaded = performance.now()
    const { data } = await embed('A text to see that it runs.', { pooling: 'mean', normalize: true, signal })
    const ran = performance.now()
    const good = Math.abs(length(data) - 1) < 1e-4
    return [
      { name, found: embed.model.info().model, so: `loaded in ${Math.round(loaded - start)} ms` },
      ...used(embed.model.info()),
      {
        name: 'one text',
        found: `${Math.round(ran - loaded)} ms`,
        so: good ? `a vector of ${data.length}, of length 1` : `the vector's length is ${length(data)} and should be 1`,
        fatal: !good,
      },
    ]
  } finally {
    await embed.dispose()
  }
}

/** Without a model, one of fresh weights shows that the kernels run. */
async function runFresh(options: DoctorOptions, signal: AbortSignal): Promise<Finding[]> {
  const tiny = { vocab_size: 100, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 128 }
  const model = new BertModel(tiny, loadOptions(options))
  try {
    const { last_hidden_state: state } = await model({ input_ids: [[1, 2, 3]], signal })
    const good = Number.isFinite(length(state.data))
    return [
      ...used(model.info()),
      { name: 'a fresh model', found: good ? 'runs' : 'fails', so: `[${state.dims.join(', ')}]`, fatal: !good },
    ]
  } finally {
    await model.dispose()
  }
}

const length = (vector: Float32Array): number => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0))

function used({ build, dtype, threads, attention, tile, bytes }: ModelInfo): Finding[] {
  return [
    { name: 'kernels', found: build.name, so: build.why },
    { name: 'dtype', found: dtype.name, so: dtype.why },
    { name: 'threads', found: String(threads.count), so: threads.why },
    { name: 'attention', found: attention.name, so: attention.why },
    { name: 'tile', found: tile.name, so: tile.why },
    { name: 'model memory', found: `${(bytes.memory / 1e6).toFixed(1)} MB`, so: `weights ${(bytes.weights / 1e6).toFixed(1)} MB` },
  ]
}
