// Texts with several endings, one of which is right.
import { choiceFeatures, longest, readChoices } from '../data.ts'
import { BertForMultipleChoice, type Tensor } from '../index.node.ts'
import { argmax, classMetrics, type ComputeMetrics } from '../training.ts'
import { softmax } from './classification-task.ts'
import { readFile } from './data-files.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import type { LabelledOptions } from './labelled-options.ts'
import { openSink } from './output.ts'

export const MULTIPLE_CHOICE: LabelledTask = {
  model: BertForMultipleChoice,
  best: 'accuracy',

  async open(train, options, _, signal) {
    const files = await Promise.all(
      [train, ...(options.eval === undefined ? [] : [options.eval])].map((file) => read(file, options, true, signal)),
    )
    return { train: files[0]!, held: files.slice(1), head: {} }
  },

  measure: async (file, options, _, signal) => [await read(file, options, options.predictions === undefined, signal)],
}

/** Which choice it is is no class: accuracy alone counts. */
const metrics: ComputeMetrics = ({ predictions, label_ids }) => {
  const { data, dims } = predictions as Tensor
  const choices = dims.at(-1)!
  const { accuracy } = classMetrics(argmax(data, choices), Array.from((label_ids as Tensor).data, Number), choices)
  return { accuracy: accuracy! }
}

async function read(file: string, options: LabelledOptions, labelled: boolean, signal: AbortSignal): Promise<LabelledFile> {
  const how = { labelled, ...(options.format && { format: options.format }) }
  const examples = await readFile(file, signal, (input, name) => readChoices(input, name, how))
  const known = examples.every(({ label }) => label !== undefined)
  return {
    file,
    prefix: '',
    examples: examples.length,
    read: `${examples[0]!.choices.length} choices each`,
    features: (tokenizer, config) => ({
      dataset: choiceFeatures(examples, tokenizer, { max_length: longest(config, tokenizer, options.maxLength), signal }),
      ...(known && { compute_metrics: metrics }),
      async write({ predictions }, to) {
        const { data, dims } = predictions as Tensor
        const width = dims.at(-1)!
        const found = argmax(data, width)
        const sink = await openSink(to, signal)
        try {
          for (const [i, { place: _, ...example }] of examples.entries()) {
            const scores = softmax(Array.from({ length: width }, (__, k) => data[i * width + k]!))
            await sink.write(`${JSON.stringify({ ...example, prediction: found[i], scores })}\n`)
          }
          await sink.finish()
        } finally {
          await sink.close()
        }
      },
    }),
  }
}
