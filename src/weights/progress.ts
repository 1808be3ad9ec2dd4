/** What is told while files are fetched and read; the shape is that of transformers.js. */
export type ProgressEvent =
  | { readonly status: 'initiate' | 'download' | 'done'; readonly name: string; readonly file: string }
  | {
      readonly status: 'progress'
      readonly name: string
      readonly file: string
      /** Percent of the file. */
      readonly progress: number
      readonly loaded: number
      readonly total: number
    }
  | { readonly status: 'ready'; readonly task: string; readonly model: string }

export type Tell = (event: ProgressEvent) => void

export function progressed(name: string, file: string, loaded: number, total: number): ProgressEvent {
  return { status: 'progress', name, file, progress: total === 0 ? 100 : (100 * loaded) / total, loaded, total }
}
