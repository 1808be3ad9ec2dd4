// A classifier from a few labelled texts, in seconds.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { classesOf } from '../data.ts'
import { expected, Words } from '../errors.ts'
import { fewShot, Trainer } from '../training.ts'
import { conflictWarning, metricsFor, namedLabels, readTexts, textFile } from './classification-task.ts'
import type { FinetuneOptions } from './finetune.ts'
import { loadOptions } from './options.ts'
import { plotTraining } from './plot.ts'
import { openProgress } from './progress.ts'
import { checkOutput, plain, prepareFast, sourceOf, table } from './run-training.ts'

/** `bertlet finetune --few-shot`: a logistic head over sentence embeddings; with --contrastive the trunk is tuned by pairs first. */
export async function finetuneFewShot(train: string, options: FinetuneOptions, signal: AbortSignal): Promise<void> {
  await checkOutput(options, 'few-shot')
  await prepareFast(options)
  const data = await readTexts(train, options, true, signal)
  const held = options.eval === undefined ? undefined : await readTexts(options.eval, options, true, signal)
  const paired = [...data.examples, ...(held?.examples ?? [])].find(({ pair }) => pair !== undefined)
  if (paired)
    throw expected(
      paired.place,
      'one text, as --few-shot takes it',
      new Words('a pair'),
      'Name the column with --text, or leave --few-shot out',
    )
  const given = options.labels?.split(',').map((name) => name.trim())
  const labels = classesOf(data.examples, given)
  for (const example of held?.examples ?? []) labels.of(example)
  const warning = conflictWarning(data.examples)
  if (warning !== undefined) process.stderr.write(`bertlet: warning: ${warning}\n`)
  const progress = await openProgress({ rows: false })
  const log: string[] = []
  const onStep = ({ step, total, loss }: { step: number; total: number; loss: number }): void => {
    progress.steps(step, total, `loss ${loss.toFixed(4)}`)
    log.push(`${JSON.stringify({ step, loss })}\n`)
  }
  const { model, tokenizer, accuracy, saveAdapter } = await fewShot(
    data.examples.map(({ text }) => text),
    data.examples.map((example) => labels.of(example)),
    {
      ...loadOptions(options),
      model: sourceOf(options),
      id2label: namedLabels(labels.names!).id2label,
      ...(options.maxLength !== undefined && { max_length: options.maxLength }),
      ...(options.contrastive && { contrastive: { seed: options.seed, onStep } }),
      progress_callback: progress.load,
      signal,
    },
  ).finally(progress.stop)
  try {
    let metrics: Record<string, number> = {}
    if (held) {
      const parts = { file: options.eval!, labels, compute_metrics: metricsFor(labels), options, signal }
      const { dataset, compute_metrics } = textFile(held.examples, parts).features(tokenizer, model.config)
      const args = { per_device_eval_batch_size: options.perDeviceEvalBatchSize }
      const trainer = new Trainer({ model, args, eval_dataset: dataset, ...(compute_metrics && { compute_metrics }) })
      metrics = plain(await trainer.evaluate(undefined, { signal }))
    }
    await model.savePretrained(options.output, { tokenizer })
    // The head by itself, a few kB; a tuned trunk would be there twice.
    const adapter = options.contrastive ? undefined : path.join(options.output, 'adapter')
    if (adapter) await saveAdapter(adapter)
    // Of a head that is solved there are no steps.
    if (log.length > 0) await writeFile(path.join(options.output, 'log.jsonl'), log.join(''))
    if (log.length > 0) await plotTraining(options.output)
    const examples = data.examples.length
    if (options.json) {
      const whole = {
        output: options.output,
        ...(adapter && { adapter }),
        model: model.info().model,
        examples,
        eval_examples: held?.examples.length ?? 0,
        labels: labels.names,
      }
      process.stdout.write(`${JSON.stringify({ ...whole, train_accuracy: accuracy, metrics })}\n`)
      return
    }
    process.stdout.write(
      `${train}: ${examples} examples of ${labels.names!.join(', ')}, ${(100 * accuracy).toFixed(1)} % of them told right\n${held ? table(metrics) : ''}the model is in ${options.output}${adapter ? `, its head alone in ${adapter}` : ''}\n`,
    )
  } finally {
    await model.dispose()
  }
}
