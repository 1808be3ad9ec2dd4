// Progress for people: on standard error, and only when that is a terminal.
import type { SingleBar } from 'cli-progress'
import type { LoadOptions } from '../index.node.ts'

export interface Progress {
  /** Bytes of the model's files, as they are read. */
  readonly load: NonNullable<LoadOptions['progress_callback']>
  /** Texts done, of a number that may not be known. */
  texts(done: number, total?: number): void
  /** Any other things done. */
  count(what: string, done: number, total?: number): void
  /** Steps of a training, and how it goes. */
  steps(done: number, total: number, detail: string): void
  /** Leaves the line empty. */
  stop(): void
}

const SILENT: Progress = {
  load: () => undefined,
  texts: () => undefined,
  count: () => undefined,
  steps: () => undefined,
  stop: () => undefined,
}

/** @param rows whether results go to the same terminal: then they are the progress, and only loading shows a bar. */
export async function openProgress({ rows }: { rows: boolean }): Promise<Progress> {
  if (!process.stderr.isTTY) return SILENT
  const { default: bars } = await import('cli-progress')
  let bar: SingleBar | undefined
  let shown = ''
  const stop = (): void => {
    bar?.stop()
    bar = undefined
    shown = ''
  }
  const show = (what: string, value: number, total: number, detail = ''): void => {
    if (shown !== what) {
      stop()
      const share = total > 0 ? '{bar} {percentage} %  {eta_formatted} left' : '{value}  {duration_formatted}'
      // Ctrl-C is the command's to answer.
      bar = new bars.SingleBar({
        format: `{what} ${share}{detail}`,
        stream: process.stderr,
        clearOnComplete: true,
        linewrap: true,
        barsize: 24,
        gracefulExit: false,
      })
      bar.start(total, value, { what, detail })
      shown = what
    }
    bar?.update(value, { detail })
  }
  return {
    load: (event) => {
      if (event.status !== 'progress') return
      if (event.loaded < event.total) show(event.file, event.loaded, event.total)
      else stop()
    },
    texts: (done, total = 0) => (rows ? undefined : show('texts', done, total)),
    count: (what, done, total = 0) => show(what, done, total),
    steps: (done, total, detail) => show('steps', done, total, `  ${detail}`),
    stop,
  }
}
