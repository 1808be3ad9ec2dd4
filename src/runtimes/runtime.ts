import type { Cache } from '../weights/cache.ts'
import type { Folder } from '../weights/folder.ts'
import type { Hash } from '../weights/http.ts'
import type { Source } from '../weights/source.ts'

/**
 * What the engine asks of the platform. The files of this folder are the only ones that name a platform.
 */
export interface Runtime {
  /** For people: "node 20.20.2". */
  readonly name: string
  /** Threads that run at once. */
  parallelism(): number
  /** Whether workers can exist here; the reason when not. */
  readonly workers: true | string
  /** Starts a worker of the bundled source with `data`. Refused, it throws, or the handle tells of the end before any message. */
  spawn(data: WorkerData): WorkerHandle
  /** Lets the event loop turn once. */
  turn(): Promise<void>
  /** A place on this machine that holds model files, a directory or an installed package; undefined when there is none of that name. */
  source(name: string): Source | undefined
  /** Models that lie beside such a place, for who mistyped it; absent where there are no files. */
  beside?(name: string): readonly string[]
  /** A place that takes model files: a directory. */
  sink(name: string): import('../weights/sink.ts').Sink
  /** A directory that takes checkpoints. */
  folder(name: string): Folder
  /** The model that pipelines use when none is named: its files, or its name. */
  defaultSource(): Source | string
  hub(): HubPlatform
}

/** What a platform knows of the Hugging Face hub, and has for it. */
export interface HubPlatform {
  readonly endpoint?: string | undefined
  readonly offline?: boolean
  token?(): string | undefined
  /** Where files are kept unless the caller says otherwise; absent where there are no files. */
  readonly cacheDir?: string | undefined
  cache?(folder: string): Cache | Promise<Cache | undefined>
  sha256?(): Hash
}

/** What a worker is born with. */
export interface WorkerData {
  /** Its mailbox, see engine/mailbox.ts. */
  readonly control: SharedArrayBuffer
}

export interface WorkerHandle {
  post(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  /** The worker has ended, asked or not. */
  onExit(listener: (reason: string) => void): void
  terminate(): void
  /** A ref'd worker keeps the process alive. */
  ref(): void
  unref(): void
}
