import { COSTS } from '../../src/graph/work.ts'
import { same, type ConformanceCase } from './case.ts'
import { DATA } from './data.ts'
import { FEW_SHOT } from './few-shot.ts'
import { HEAD_BEHAVIOUR, HEADS_EQUAL_PYTORCH } from './heads.ts'
import { LOSS_CASES } from './losses.ts'
import { LONG_TEXTS } from './long-texts.ts'
import { MODEL_CASES } from './models.ts'
import { ODD_TEXTS } from './odd-texts.ts'
import { PACKED } from './packed.ts'
import { PIPELINE_BEHAVIOUR } from './pipeline-behaviour.ts'
import { PIPELINE_CASES } from './pipelines.ts'
import { QUANTIZED } from './quantized.ts'
import { GOLDEN_HASH, INT4_HASH, INT8_HASH, outputHash, REPRODUCIBLE_CASES } from './reproducible.ts'
import { SAVED } from './saved.ts'
import { TOKENIZER_CASES } from './tokenizer.ts'
import { SOURCE_CASES } from './sources.ts'
import { ADAPTED_CASES, ADAPTED_HASH, ADAPTED_INT8_HASH, TRAINED_CASES, TRAINED_HASH, trainedHash } from './trained.ts'
import { TRAINING_MEMORY } from './training-memory.ts'
import { VECTORS } from './vectors.ts'

// Models are tiny here, and yet every thread that is asked for runs.
Object.assign(COSTS, { wake: 0, meeting: 0 })

/** Every conformance case, in groups. A new file of cases is added here and nowhere else. */
export const CONFORMANCE: Readonly<Record<string, readonly ConformanceCase[]>> = {
  'heads equal PyTorch': HEADS_EQUAL_PYTORCH,
  'what heads do': HEAD_BEHAVIOUR,
  losses: LOSS_CASES,
  models: MODEL_CASES,
  'what is saved': SAVED,
  'int8 checkpoints': QUANTIZED,
  'int4 checkpoints': PACKED,
  'the same bits': Object.entries(REPRODUCIBLE_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await outputHash(options), GOLDEN_HASH, 'hash of the outputs'),
  })),
  'the same bits, int8': Object.entries(REPRODUCIBLE_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await outputHash({ ...options, dtype: 'int8' }), INT8_HASH, 'hash of the outputs'),
  })),
  'the same bits, int4': Object.entries(REPRODUCIBLE_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await outputHash({ ...options, dtype: 'int4' }), INT4_HASH, 'hash of the outputs'),
  })),
  'the same bits after training': Object.entries(TRAINED_CASES).map(([name, options]) => ({
    name,
    run: async () => same(await trainedHash(options), TRAINED_HASH, 'hash of the weights'),
  })),
  'few-shot': FEW_SHOT,
  'the same bits after training an adapter': Object.entries(ADAPTED_CASES).flatMap(([name, options]) => [
    { name, run: async () => same(await trainedHash(options), ADAPTED_HASH, 'hash of the adapter') },
    {
      name: `${name}, int8`,
      run: async () => same(await trainedHash({ ...options, dtype: 'int8' }), ADAPTED_INT8_HASH, 'hash of the adapter'),
    },
  ]),
  'memory of training': TRAINING_MEMORY,
  'labelled files': DATA,
  tokenizer: TOKENIZER_CASES,
  sources: SOURCE_CASES,
  pipelines: PIPELINE_CASES,
  'what pipelines do': PIPELINE_BEHAVIOUR,
  'long texts': LONG_TEXTS,
  'vectors of texts': VECTORS,
  'texts that no one meant to write': ODD_TEXTS,
}
