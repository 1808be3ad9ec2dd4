// The tasks of GLUE: a folder as its archive has it.
import { access, stat } from 'node:fs/promises'
import path from 'node:path'
import { GLUE, glueLabels, glueMetrics, glueSubmission, readGlue, type GlueTask } from '../data.ts'
import { expected } from '../errors.ts'
import { BertForSequenceClassification, type BertConfig, type Tensor } from '../index.node.ts'
import { headOf, ownNames, sameNames, textFile } from './classification-task.ts'
import { readFile } from './data-files.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import type { LabelledOptions } from './labelled-options.ts'

export function glueTaskOf(task: GlueTask): LabelledTask {
  const { labels: usual, train, dev, tests, metrics, folder: name } = GLUE[task]

  /** The order of a model's head, where it has the task's classes. */
  const known = (names: readonly string[] | undefined): readonly string[] | undefined =>
    usual && names && sameNames(usual, names) ? names : usual

  const read = async (
    folder: string,
    file: string,
    prefix: string,
    order: readonly string[] | undefined,
    options: LabelledOptions,
    signal: AbortSignal,
  ) => {
    const place = path.join(folder, file)
    let skipped = 0
    const examples = await readFile(place, signal, (input) => readGlue(task, input, place, 'labelled', () => skipped++))
    const labels = glueLabels(task, order)
    for (const example of examples) labels.of(example)
    const taken = skipped > 0 ? { read: `${skipped} short rows left out` } : {}
    return textFile(examples, { file: place, prefix, ...taken, labels, compute_metrics: glueMetrics(task, order), options, signal })
  }
  const devFiles = async (
    folder: string,
    order: readonly string[] | undefined,
    options: LabelledOptions,
    signal: AbortSignal,
  ): Promise<LabelledFile[]> => {
    const files: LabelledFile[] = []
    for (const [prefix, file] of Object.entries(dev)) files.push(await read(folder, file, prefix, order, options, signal))
    return files
  }

  return {
    model: BertForSequenceClassification,
    best: metrics[0]!,

    async open(folder, options, source, signal) {
      await checkFolder(folder, name, [train, ...Object.values(dev)])
      if (options.eval !== undefined) throw expected('--eval', `none, as ${task} has ${Object.values(dev).join(' and ')}`, options.eval)
      const order = known(await ownNames(source, signal))
      return {
        train: await read(folder, train, '', order, options, signal),
        held: await devFiles(folder, order, options, signal),
        head: headOf(glueLabels(task, order)),
        ...(order && { labels: order }),
      }
    },

    async measure(folder, options, config, signal) {
      await checkFolder(folder, name, Object.values(dev))
      return devFiles(folder, known(Object.values(config.id2label)), options, signal)
    },

    async tests(folder, config: BertConfig, signal) {
      await checkFolder(folder, name, tests.flatMap(({ file, optional }) => (optional ? [] : [file]))) // prettier-ignore
      const order = known(Object.values(config.id2label))
      const files = []
      for (const { file, submission, optional } of tests) {
        const place = path.join(folder, file)
        if (optional && !(await exists(place))) continue
        const examples = await readFile(place, signal, (input) => readGlue(task, input, place, 'test'))
        const parts = { file: submission, labels: glueLabels(task, order), compute_metrics: undefined, options: {}, signal }
        files.push({
          ...textFile(examples, parts),
          submission: ({ predictions }: { predictions: unknown }) => glueSubmission(task, (predictions as Tensor).data, order),
        })
      }
      return files
    },
  }
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  )

async function checkFolder(folder: string, name: string, files: readonly string[]): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  const missing = []
  for (const file of files) if (!found?.isDirectory() || !(await exists(path.join(folder, file)))) missing.push(file)
  if (missing.length === 0) return
  const fix = `GLUE's archive of ${name} is such a folder; one file of texts is read by the task text-classification`
  throw expected('files', `a folder with ${missing.join(' and ')}`, folder, fix, 'not_found')
}
