// Twenty steps of training, done in every way that must not matter, come to weights of one committed hash. No framework: any runtime can run it.
import { BertForSequenceClassification, type LoraConfig } from '../../src/index.ts'
import { Trainer, type TrainingArgumentsOptions } from '../../src/training.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, sequences } from '../support/models.ts'

export interface TrainedOptions {
  readonly threads: number
  readonly budget?: number
  readonly args?: TrainingArgumentsOptions
  readonly dtype?: 'f32' | 'int8'
  /** Trains an adapter on the frozen model. */
  readonly adapter?: LoraConfig
}

/** Everything that must give the same bits. */
export const TRAINED_CASES: Record<string, TrainedOptions> = {
  '1 thread': { threads: 1 },
  '2 threads': { threads: 2 },
  '3 threads': { threads: 3 },
  '4 threads': { threads: 4 },
  'the calling thread': { threads: 0 },
  '2 parts of 4': { threads: 2, args: { per_device_train_batch_size: 4, gradient_accumulation_steps: 2 } },
  '8 parts of 1': { threads: 3, args: { per_device_train_batch_size: 1, gradient_accumulation_steps: 8 } },
  '4 parts of 2': { threads: 2, args: { per_device_train_batch_size: 2, gradient_accumulation_steps: 4 } },
  'one sequence at a time': { threads: 2, budget: 1 },
  'three chunks': { threads: 3, budget: 60 },
  recomputed: { threads: 2, args: { gradient_checkpointing: true } },
  'recomputed on the calling thread': { threads: 0, args: { gradient_checkpointing: true } },
  'recomputed in three chunks': { threads: 1, budget: 60, args: { gradient_checkpointing: true } },
  'recomputed, one sequence at a time': { threads: 3, budget: 1, args: { gradient_checkpointing: true } },
  'recomputed, 2 parts of 4': {
    threads: 2,
    args: { gradient_checkpointing: true, per_device_train_batch_size: 4, gradient_accumulation_steps: 2 },
  },
}

/** FNV-1a over model.safetensors after 20 steps with dropout, clipping, decay and warm-up. */
export const TRAINED_HASH = '95349cad'

/** An adapter that trains everything an adapter can, in ways that must not matter; on int8 the same of another hash. */
export const ADAPTER: LoraConfig = { r: 5, lora_alpha: 10, lora_dropout: 0.2, target_modules: 'all-linear', bias: 'all', use_rslora: true }
export const ADAPTED_CASES = Object.fromEntries(
  ['1 thread', '3 threads', 'the calling thread', '8 parts of 1', 'three chunks', 'recomputed, one sequence at a time'].map((name) => [
    name,
    { ...TRAINED_CASES[name]!, adapter: ADAPTER },
  ]),
)
/** FNV-1a over adapter_model.safetensors, as above; and on an int8 base. */
export const ADAPTED_HASH = 'c387ffe0'
export const ADAPTED_INT8_HASH = '03015fea'

/** Hash of the weights that a training ends in. Hidden size 52 exercises every tail. */
export async function trainedHash({ threads, budget = 1024, args = {}, dtype, adapter }: TrainedOptions): Promise<string> {
  const files = checkpoint({ hidden_size: 52, num_attention_heads: 4, intermediate_size: 101 })
  const options = { threads, budget, num_labels: 3, seed: 3, initialize_missing: true, ...(dtype && { dtype }) }
  const base = await BertForSequenceClassification.fromPretrained(memorySource(files, 'trained'), options)
  const model = adapter ? await base.withAdapter(adapter, { seed: 5 }) : base
  try {
    const trainer = new Trainer({
      model,
      args: {
        max_steps: 20,
        per_device_train_batch_size: 8,
        learning_rate: 5e-3,
        weight_decay: 0.01,
        lr_scheduler_type: 'cosine',
        warmup_ratio: 0.1,
        max_grad_norm: 0.5,
        ...args,
      },
      train_dataset: sequences(44, { longest: 24, seed: 21 }).map((input_ids) => ({ input_ids, label: input_ids[0]! % 3 })),
    })
    await trainer.train()
    let hash = ''
    await model.savePretrained({
      async write(name, pieces) {
        let state = 0x811c9dc5
        for await (const piece of pieces) for (const byte of piece) state = Math.imul(state ^ byte, 0x01000193) >>> 0
        if (name.endsWith('model.safetensors')) hash = state.toString(16).padStart(8, '0')
      },
    })
    return hash
  } finally {
    await model.dispose()
    await base.dispose()
  }
}
