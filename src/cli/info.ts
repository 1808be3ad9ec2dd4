import { AutoModel, inspect, openModel, type Inspection } from '../index.node.ts'
import { loadOptions, sourceOptions, type ModelOptions } from './options.ts'
import { columns } from './output.ts'

export interface InfoOptions extends ModelOptions {
  readonly json?: boolean
}

/** `bertlet info`: what a checkpoint holds and needs. Its config and headers are read, no weight. */
export async function info(model: string | undefined, options: InfoOptions, signal: AbortSignal): Promise<void> {
  const source = openModel(model ?? options.model, sourceOptions(options))
  const found = await inspect(source, { signal })
  const memory = await AutoModel.estimate(source, { ...loadOptions(options), signal })
  if (options.json) process.stdout.write(`${JSON.stringify({ ...found, memory })}\n`)
  else process.stdout.write(columns(describe(found, memory)))
}

function describe(
  { model, config, heads, files, parameters, dtypes, missing, unexpected, tokenizer }: Inspection,
  memory: { total: number; weights: number; arena: number },
): [string, string][] {
  const {
    num_hidden_layers: layers,
    hidden_size: h,
    num_attention_heads: a,
    intermediate_size: wide,
    max_position_embeddings: longest,
  } = config
  const labels = Object.values(config.id2label)
  return [
    ['model', model],
    [
      'architecture',
      `${config.architectures.join(', ') || 'not said'}${heads.length > 0 ? `; heads in the file: ${heads.join(', ')}` : ''}`,
    ],
    ['sizes', `${layers} layers of ${h}, ${a} heads of ${h / a}, feed-forward ${wide} with ${config.hidden_act}, ${longest} positions`],
    ['vocabulary', `${config.vocab_size} tokens, ${config.type_vocab_size} segments`],
    ...(heads.includes('classifier') ? [['labels', few(labels)] as [string, string]] : []),
    ['parameters', `${(parameters / 1e6).toFixed(1)} million`],
    ...files.map(({ file, bytes }): [string, string] => ['file', `${file}, ${megabytes(bytes)}`]),
    [
      'dtypes',
      Object.entries(dtypes)
        .map(([name, { tensors, bytes }]) => `${name}: ${tensors} ${tensors === 1 ? 'tensor' : 'tensors'}, ${megabytes(bytes)}`)
        .join('; '),
    ],
    [
      'memory',
      `${megabytes(memory.total)}: weights ${megabytes(memory.weights)}, activations ${megabytes(memory.arena)}, for the longest texts`,
    ],
    [
      'tokenizer',
      'error' in tokenizer
        ? tokenizer.error
        : `WordPiece of ${tokenizer.file}, limit ${tokenizer.model_max_length ?? `not said; the model's is ${longest}`}`,
    ],
    ['missing', missing.length === 0 ? 'nothing' : few(missing)],
    ['unexpected', unexpected.length === 0 ? 'nothing' : few(unexpected)],
  ]
}

const few = (names: readonly string[]): string =>
  `${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
