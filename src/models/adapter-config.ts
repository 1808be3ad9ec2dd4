// adapter_config.json of a low-rank adapter: the fields of Hugging Face PEFT's LoraConfig, with its defaults and its rules for names.
import { BertletError, checkOptions, expected, nearest, show } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { toHuggingFace } from '../weights/names.ts'
import type { BertConfig } from './config.ts'
import type { Head } from './heads.ts'
import { WORDS, type ParameterSpec } from './parameters.ts'

export type TaskType = 'SEQ_CLS' | 'TOKEN_CLS' | 'QUESTION_ANS' | 'FEATURE_EXTRACTION'

/** A low-rank adapter, with the names and defaults of PEFT's LoraConfig. */
export interface LoraConfig {
  /** Rank; 8 by default. */
  readonly r?: number
  /** What is added is alpha / r as large; 8 by default. */
  readonly lora_alpha?: number
  /** On what the adapter reads, in training; 0 by default. */
  readonly lora_dropout?: number
  /** alpha / sqrt(r) instead of alpha / r. */
  readonly use_rslora?: boolean
  /**
   * Linear layers that get one: names or ends of names, a regular expression for whole names, or 'all-linear', which leaves out what scores words or
   * sequences. Default: query and value.
   */
  readonly target_modules?: string | readonly string[] | null
  /** What of these is left out: by the same rules. */
  readonly exclude_modules?: string | readonly string[] | null
  /** Modules that are trained whole, as copies of the base's. A new head belongs here; the task's own does by itself. */
  readonly modules_to_save?: readonly string[] | null
  /** Which biases are trained too, as copies: none by default, all, or those of the layers with an adapter. */
  readonly bias?: 'none' | 'all' | 'lora_only'
  /** Ranks and alphas of single modules: keys are names, ends of names or regular expressions for them. */
  readonly rank_pattern?: Readonly<Record<string, number>>
  readonly alpha_pattern?: Readonly<Record<string, number>>
  /** Fresh A: uniform as PEFT has it (true), or normal with deviation 1 / r. B is zero, so that a fresh adapter changes nothing. */
  readonly init_lora_weights?: boolean | 'gaussian'
  /** What PEFT makes of it. The class's by default: SEQ_CLS, TOKEN_CLS and QUESTION_ANS train their head whole; null does not. */
  readonly task_type?: TaskType | null
  /** What it was trained on, for people. */
  readonly base_model_name_or_path?: string | null
}

const FIELDS: readonly (keyof LoraConfig)[] = [
  'r',
  'lora_alpha',
  'lora_dropout',
  'use_rslora',
  'target_modules',
  'exclude_modules',
  'modules_to_save',
  'bias',
  'rank_pattern',
  'alpha_pattern',
  'init_lora_weights',
  'task_type',
  'base_model_name_or_path',
]
/** Of a file's other fields those that change nothing, whatever they say. */
const INFORMATIVE = ['peft_type', 'peft_version', 'auto_mapping', 'revision', 'inference_mode', 'megatron_core', 'qalora_group_size']
/** Ways to begin that leave the base as it is. */
const INITIAL = [true, false, 'gaussian', 'eva', 'orthogonal']

const TASKS: Readonly<Record<string, TaskType>> = {
  BertModel: 'FEATURE_EXTRACTION',
  BertForSequenceClassification: 'SEQ_CLS',
  BertForTokenClassification: 'TOKEN_CLS',
  BertForQuestionAnswering: 'QUESTION_ANS',
}
/** What PEFT trains whole for a task. */
const HEADS: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
}

/** Every field, checked. */
export type CheckedConfig = Required<LoraConfig>

/** Checks the fields that a caller gives, or, with `file`, those of an adapter_config.json: unknown ones that are on are refused there. */
export function checkLoraConfig(
  given: LoraConfig | JsonObject,
  { architecture }: Pick<Head, 'architecture'>,
  file?: string,
): CheckedConfig {
  const at = file === undefined ? 'withAdapter' : file
  if (file === undefined) checkOptions(at, given, FIELDS)
  else refuseUnknown(given as JsonObject, file)
  const { r = 8, lora_alpha = 8, lora_dropout = 0, use_rslora = false, bias = 'none', init_lora_weights = true } = given as LoraConfig
  const { target_modules = null, exclude_modules = null, modules_to_save = null, rank_pattern, alpha_pattern } = given as LoraConfig
  const { task_type = file === undefined ? (TASKS[architecture] ?? null) : null, base_model_name_or_path = null } = given as LoraConfig
  const refuse = (field: string, wanted: string, got: unknown): BertletError =>
    expected(`${at}: ${field}`, wanted, got, undefined, file === undefined ? 'invalid_argument' : 'invalid_file')
  checkRank(r, (got) => refuse('r', 'a rank, a whole number from 1 to 4096', got))
  if (!Number.isFinite(lora_alpha)) throw refuse('lora_alpha', 'a number', lora_alpha)
  if (!(lora_dropout >= 0 && lora_dropout < 1)) throw refuse('lora_dropout', 'a probability from 0 to below 1', lora_dropout)
  if (typeof use_rslora !== 'boolean') throw refuse('use_rslora', 'true or false', use_rslora)
  if (!['none', 'all', 'lora_only'].includes(bias)) throw refuse('bias', "'none', 'all' or 'lora_only'", bias)
  if (!INITIAL.includes(init_lora_weights)) {
    const fix = 'Other ways begin with another base: export the adapter with path_initial_model_for_weight_conversion'
    throw expected(`${at}: init_lora_weights`, `one of ${INITIAL.join(', ')}`, init_lora_weights, fix, 'unsupported')
  }
  for (const [field, value] of Object.entries({ target_modules, exclude_modules })) {
    if (value !== null && typeof value !== 'string' && !isNames(value)) throw refuse(field, 'names, a regular expression, or null', value)
    if (typeof value === 'string') patternOf(value, (got) => refuse(field, 'a regular expression of at most 1000 characters', got))
  }
  if (modules_to_save !== null && !isNames(modules_to_save)) throw refuse('modules_to_save', 'names, or null', modules_to_save)
  for (const [field, pattern] of Object.entries({ rank_pattern, alpha_pattern })) {
    for (const [key, value] of Object.entries(pattern ?? {})) {
      patternOf(key, (got) => refuse(field, 'names or regular expressions as keys', got))
      if (field === 'rank_pattern') checkRank(value, (got) => refuse(`${field}.${key}`, 'a rank', got))
      else if (!Number.isFinite(value)) throw refuse(`${field}.${key}`, 'a number', value)
    }
  }
  return {
    r,
    lora_alpha,
    lora_dropout,
    use_rslora,
    target_modules: target_modules ?? ['query', 'value'],
    exclude_modules,
    modules_to_save: [...new Set([...(modules_to_save ?? []), ...(HEADS[task_type ?? ''] ?? [])])],
    bias,
    rank_pattern: rank_pattern ?? {},
    alpha_pattern: alpha_pattern ?? {},
    init_lora_weights,
    task_type,
    base_model_name_or_path,
  }
}

function refuseUnknown(fields: JsonObject, file: string): void {
  const { peft_type = null } = fields
  if (peft_type !== 'LORA')
    throw expected(`${file}: peft_type`, '"LORA"', peft_type, 'Other kinds of adapters cannot be read', 'unsupported')
  for (const [field, value] of Object.entries(fields)) {
    const off = value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0)
    if (off || INFORMATIVE.includes(field) || (FIELDS as readonly string[]).includes(field)) continue
    throw new BertletError(
      'unsupported',
      `${file}: ${field} is ${show(value)}, which bertlet does not compute`,
      'Train the adapter without it',
    )
  }
}

function checkRank(r: unknown, refuse: (got: unknown) => BertletError): void {
  if (!Number.isInteger(r) || (r as number) < 1 || (r as number) > 4096) throw refuse(r)
}

const isNames = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((name) => typeof name === 'string')

/** Of whole names. */
function patternOf(
  text: string,
  refuse: (got: unknown) => BertletError = (got) => expected('pattern', 'a regular expression', got),
): RegExp {
  try {
    if (text.length <= 1000) return new RegExp(`^(?:${text})$`)
  } catch {
    // Said below.
  }
  throw refuse(text)
}

/** A linear layer with a low-rank branch. */
export interface Branch {
  /** Our name of the layer. */
  readonly module: string
  readonly n: number
  readonly k: number
  readonly r: number
  readonly scale: number
}

/** What an adapter is made of. */
export interface Parts {
  readonly branches: readonly Branch[]
  /** Parameters of the base that it has copies of: those of whole modules, and biases. */
  readonly copies: readonly ParameterSpec[]
  /** Of these, by our names: the module that is saved whole. */
  readonly saved: ReadonlyMap<string, string>
}

/** Finds what a config names among the parameters of a model. `strict`: every name must mean something. */
export function partsOf(config: CheckedConfig, specs: readonly ParameterSpec[], head: Head, bert: BertConfig, strict: boolean): Parts {
  const prefix = head.architecture === 'BertModel' ? '' : 'bert.'
  const full = (name: string): string => toHuggingFace(name, prefix)
  const linear = new Map(
    specs.filter(({ name, layout }) => layout === 'panel' && name !== WORDS).map((spec) => [full(moduleOf(spec.name)), spec]),
  )
  const modules = new Set(specs.flatMap(({ name }) => ancestors(full(moduleOf(name)))))
  if (head.decodes && bert.tie_word_embeddings) modules.add(DECODER)
  const unknown = (field: string, name: string): BertletError => {
    const ends = [...new Set([...linear.keys()].flatMap((each) => [each, each.slice(each.lastIndexOf('.') + 1)]))]
    const near = nearest(name, field === 'modules_to_save' ? [...modules].map((each) => each.slice(each.lastIndexOf('.') + 1)) : ends)
    const known = [...new Set([...linear.keys()].map((each) => each.slice(each.lastIndexOf('.') + 1)))].join(', ')
    return expected(
      field,
      `names of modules of ${head.architecture}`,
      name,
      `${near === undefined ? '' : `Did you mean ${near}? `}Linear layers end in ${known}`,
    )
  }

  const { target_modules: targets, exclude_modules: excluded, modules_to_save, task_type } = config
  const whole = (key: string): boolean => modules_to_save!.some((name) => `.${key}.`.includes(`.${name}.`))
  const out = (key: string): boolean => whole(key) || (excluded !== null && excluded.length > 0 && matches(excluded, key))
  const scoring = head.decodes ? DECODER : task_type === 'SEQ_CLS' ? 'classifier' : ''
  const all = typeof targets === 'string' && targets.toLowerCase() === 'all-linear'
  const found = [...(all ? linear.keys() : modules)].filter((key) => !out(key) && (all ? key !== scoring : matches(targets!, key)))
  for (const key of found) {
    if (linear.has(key)) continue
    const fix = 'Only linear layers can have one; a module that is to be trained whole belongs in modules_to_save'
    throw expected('target_modules', 'linear layers', key, key === DECODER ? 'This decoder is the word table itself' : fix, 'unsupported')
  }
  if (Array.isArray(targets))
    for (const name of targets as readonly string[])
      if (strict && ![...modules].some((key) => matches([name], key))) throw unknown('target_modules', name)
  if (found.length === 0 && targets!.length > 0)
    throw unknown('target_modules', typeof targets === 'string' ? targets : targets!.join(', '))

  const branches = [...linear].filter(([key]) => found.includes(key)).map(([key, spec]) => branch(config, key, spec)) // prettier-ignore
  const saved = new Map<string, string>()
  for (const spec of specs) {
    const module = ancestors(full(moduleOf(spec.name))).find((key) => modules_to_save!.some((name) => key.endsWith(name)))
    if (module !== undefined) saved.set(spec.name, module)
  }
  const implied = HEADS[task_type ?? ''] ?? []
  for (const name of modules_to_save!)
    if (strict && !implied.includes(name) && ![...modules].some((key) => key.endsWith(name))) throw unknown('modules_to_save', name)
  const layers = new Set(branches.map(({ module }) => `${module}.bias`))
  const isBias = ({ name }: ParameterSpec): boolean =>
    name.endsWith('bias') && (config.bias === 'all' || (config.bias === 'lora_only' && layers.has(name)))
  return { branches, saved, copies: specs.filter((spec) => saved.has(spec.name) || isBias(spec)) }
}

const DECODER = 'cls.predictions.decoder'

/** The module that a parameter belongs to. */
export const moduleOf = (name: string): string => name.slice(0, name.lastIndexOf('.'))

/** A module and those that it lies in, the outermost first. */
function ancestors(module: string): string[] {
  const parts = module.split('.')
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'))
}

/** PEFT's rule: a regular expression for the whole name, or names and ends of names. */
function matches(targets: string | readonly string[], key: string): boolean {
  if (typeof targets === 'string') return patternOf(targets).test(key)
  return targets.some((name) => key === name || key.endsWith(`.${name}`))
}

function branch({ r: rank, lora_alpha, rank_pattern, alpha_pattern, use_rslora }: CheckedConfig, key: string, spec: ParameterSpec): Branch {
  const of = (patterns: Readonly<Record<string, number>>, otherwise: number): number =>
    Object.entries(patterns).find(([pattern]) => patternOf(`(?:.*\\.)?(?:${pattern})`).test(key))?.[1] ?? otherwise
  const [r, alpha] = [of(rank_pattern, rank), of(alpha_pattern, lora_alpha)]
  const [n, k] = spec.shape as [number, number]
  return { module: moduleOf(spec.name), n, k, r, scale: alpha / (use_rslora ? Math.sqrt(r) : r) }
}

/** The fields as PEFT writes them. */
export function toAdapterJson(config: CheckedConfig, { architecture }: Pick<Head, 'architecture'>): JsonObject {
  const { modules_to_save, init_lora_weights, ...rest } = config
  return {
    ...rest,
    modules_to_save: modules_to_save!.length === 0 ? null : modules_to_save,
    init_lora_weights,
    peft_type: 'LORA',
    auto_mapping:
      config.task_type === null ? { base_model_class: architecture, parent_library: 'transformers.models.bert.modeling_bert' } : null,
    fan_in_fan_out: false,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    revision: null,
    use_dora: false,
  }
}
