// Words with tags.
import { readTagged, tagComputeMetrics, TagFeatures, tagNames, type TaggedWords } from '../data.ts'
import { expected, Words } from '../errors.ts'
import { BertForTokenClassification, type Tensor } from '../index.node.ts'
import { namedLabels, ownNames, sameNames } from './classification-task.ts'
import { readFile } from './data-files.ts'
import type { LabelledFile, LabelledTask } from './labelled-task.ts'
import type { LabelledOptions } from './labelled-options.ts'
import { openSink } from './output.ts'

export const TOKEN_CLASSIFICATION: LabelledTask = {
  model: BertForTokenClassification,
  best: 'f1',

  async open(train, options, source, signal) {
    const given = options.labels?.split(',').map((name) => name.trim())
    const sentences = await read(train, options, given, true, signal)
    const held = options.eval === undefined ? undefined : await read(options.eval, options, given, true, signal)
    const found = given ?? tagNames(sentences)
    if (found.length < 2) {
      const fix = 'From one tag nothing can be learnt: add sentences with others, or name another column with --tags'
      throw expected(train, 'two tags or more', new Words(`"${found[0]}" of every word`), fix, 'invalid_file')
    }
    const own = given === undefined ? await ownNames(source, signal) : undefined
    const names = own && sameNames(own, found) ? own : found
    const of = (each: readonly TaggedWords[], file: string): LabelledFile => taggedFile(each, file, names, options, signal)
    for (const each of [...sentences, ...(held ?? [])]) check(each, names)
    return { train: of(sentences, train), held: held ? [of(held, options.eval!)] : [], head: namedLabels(names), labels: names }
  },

  async measure(file, options, config, signal) {
    const names = Object.values(config.id2label)
    const sentences = await read(file, options, names, options.predictions === undefined, signal)
    for (const each of sentences) check(each, names)
    return [taggedFile(sentences, file, names, options, signal)]
  },
}

function read(file: string, options: LabelledOptions, names: readonly string[] | undefined, labelled: boolean, signal: AbortSignal) {
  const { words, tags, format } = options
  const columns = { ...(words !== undefined && { words }), ...(tags !== undefined && { tags }), ...(names && { names }), labelled }
  // CoNLL's columns are no TSV: apart by spaces too, with empty lines between sentences.
  const table = format === 'jsonl' || format === 'parquet' ? { format } : {}
  return readFile(file, signal, (input, name) => readTagged(input, name, { ...columns, ...table }))
}

function check({ place, tags }: TaggedWords, names: readonly string[]): void {
  const odd = tags?.find((tag) => !names.includes(tag))
  if (odd !== undefined) throw expected(`${place}: tag`, `one of ${names.slice(0, 20).join(', ')}`, odd, undefined, 'invalid_file')
}

function taggedFile(
  sentences: readonly TaggedWords[],
  file: string,
  names: readonly string[],
  options: LabelledOptions,
  signal: AbortSignal,
): LabelledFile {
  const known = sentences.every(({ tags }) => tags !== undefined)
  const words = sentences.reduce((sum, each) => sum + each.words.length, 0)
  return {
    file,
    prefix: '',
    examples: sentences.length,
    read: `${words} words${known ? `, tags ${names.slice(0, 12).join(' ')}${names.length > 12 ? ' ...' : ''}` : ', no tags'}`,
    features(tokenizer, config) {
      const dataset = new TagFeatures(sentences, tokenizer, {
        names,
        max_length: options.maxLength ?? Math.min(tokenizer.model_max_length ?? Infinity, config.max_position_embeddings),
        ...(options.stride !== undefined && { stride: options.stride }),
        ...(options.labelAllTokens && { label_all_tokens: true }),
        signal,
      })
      return {
        dataset,
        ...(known && { compute_metrics: tagComputeMetrics(dataset, options.scheme ? { mode: 'strict', scheme: options.scheme } : {}) }),
        write: ({ predictions }, to) => write(to, dataset, predictions as Tensor, signal),
      }
    },
  }
}

/** A word, its tag if there is one, and the tag that was found, a line; an empty line after each sentence: what conlleval reads. */
async function write(file: string, dataset: TagFeatures, logits: Tensor, signal: AbortSignal): Promise<void> {
  const found = dataset.tags(logits)
  const sink = await openSink(file, signal)
  try {
    for (const [i, { words, tags }] of dataset.sentences.entries()) {
      const lines = words.map((word, w) => [word, ...(tags ? [tags[w]!] : []), found[i]![w]!].join(' '))
      await sink.write(`${lines.join('\n')}\n\n`)
    }
    await sink.finish()
  } finally {
    await sink.close()
  }
}
