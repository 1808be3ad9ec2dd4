// The Trainer: its loop, log, evaluation and callbacks, its checkpoints, and what it refuses.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BertForPreTraining, BertForSequenceClassification, BertletError, type Tensor } from '../src/index.node.ts'
import {
  EarlyStoppingCallback,
  HeadTraining,
  learningRateAt,
  memoryFolder,
  Trainer,
  type Feature,
  type Folder,
  type LogEntry,
  type TrainerCallback,
  type TrainerOptions,
  type TrainingArgumentsOptions,
} from '../src/training.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, sequences } from './support/models.ts'
import { random } from './support/random.ts'
import { readSafetensors } from './support/safetensors.ts'

const load = (num_labels = 3): Promise<BertForSequenceClassification> =>
  BertForSequenceClassification.fromPretrained(memorySource(checkpoint({ hidden_size: 24, intermediate_size: 40 }), 'tiny'), {
    threads: 0,
    initialize_missing: true,
    num_labels,
    seed: 2,
  })

/** Rows whose label their first token tells. */
const features = (count: number, seed = 5): Feature[] =>
  sequences(count, { longest: 12, seed }).map((input_ids) => ({ input_ids, label: input_ids[0]! % 3 }))

/** A training of its own, that gives the model's memory back. */
async function trained<T>(
  options: Partial<TrainerOptions>,
  look: (trainer: Trainer, run: () => ReturnType<Trainer['train']>) => Promise<T>,
): Promise<T> {
  const model = await load()
  try {
    const trainer = new Trainer({ model, train_dataset: features(20), ...options })
    return await look(trainer, () => trainer.train())
  } finally {
    await model.dispose()
  }
}

const lines = async (folder: Folder): Promise<LogEntry[]> =>
  (await folder.readText('log.jsonl'))!
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogEntry)

/** Every byte of a model's weights. */
async function weights(model: BertForSequenceClassification): Promise<string> {
  const folder = memoryFolder()
  await model.savePretrained(folder.sink('model'))
  const reader = (await folder.source('model').open('model.safetensors'))!
  const bytes = new Uint8Array(reader.size)
  await reader.read(0, reader.size, bytes)
  return Buffer.from(bytes).toString('base64')
}

describe('the loop', () => {
  it('makes the steps that transformers counts, and logs means, rates and norms', async () => {
    const output_dir = memoryFolder()
    const losses: number[] = []
    const watch: TrainerCallback = { on_step_end: (_, __, ___, { step }) => void losses.push(step!.loss) }
    const args = {
      output_dir,
      num_train_epochs: 2,
      per_device_train_batch_size: 3,
      gradient_accumulation_steps: 2,
      logging_steps: 3,
      warmup_steps: 2,
    }
    await trained({ args, callbacks: [watch] }, async (_, run) => {
      // 20 rows in steps of 6: 4 an epoch.
      const { global_step, training_loss } = await run()
      expect(global_step).toBe(8)
      expect(losses).toHaveLength(8)
      expect(training_loss).toBeCloseTo(losses.reduce((sum, x) => sum + x) / 8, 12)
      const log = await lines(output_dir)
      expect(log.map(({ step }) => step)).toEqual([3, 6])
      for (const { step, loss, learning_rate, grad_norm } of log) {
        expect(loss).toBeCloseTo((losses[step! - 3]! + losses[step! - 2]! + losses[step! - 1]!) / 3, 12)
        // 5e-5 * (8 - s) / (8 - 2) at the step with index s.
        expect(learning_rate).toBeCloseTo((5e-5 * (8 - (step! - 1))) / 6, 15)
        expect(grad_norm).toBeGreaterThan(0)
      }
    })
  })

  it('tells the mean loss of a run that ends before its first line of the log', () =>
    trained({ args: { max_steps: 2 } }, async (_, run) => expect((await run()).training_loss).toBeGreaterThan(0.5)))

  it('evaluates as compute_metrics says, over every row', async () => {
    const rows = features(11, 9)
    await trained(
      {
        eval_dataset: rows,
        args: { per_device_eval_batch_size: 4 },
        compute_metrics: ({ predictions, label_ids }) => ({
          rows: (predictions as Tensor).dims[0]!,
          labels: [...(label_ids as Tensor).data].reduce((sum, label) => sum + Number(label), 0),
        }),
      },
      async (trainer) => {
        const metrics = await trainer.evaluate()
        expect(metrics).toMatchObject({ eval_rows: 11, eval_labels: rows.reduce((sum, { label }) => sum + (label as number), 0) })
        // The mean over rows, however they are cut.
        const one = (ids: number[], label: number) =>
          (trainer.model as BertForSequenceClassification)({ input_ids: [ids], labels: [label] })
        let sum = 0
        for (const { input_ids, label } of rows) sum += (await one(input_ids as number[], label as number)).loss!.data[0]!
        expect(metrics.eval_loss).toBeCloseTo(sum / 11, 5)
      },
    )
  })

  it('weighs masked words and pairs of sentences by themselves, however many each batch has', async () => {
    const model = await BertForPreTraining.fromPretrained(memorySource(checkpoint({}, 1, ['cls']), 'tiny'), {
      threads: 0,
      initialize_missing: true,
    })
    try {
      // Of 1 to 5 masked words a row: batches of 2, 2 and 1 rows have other shares of the words than of the pairs.
      const rows = Array.from({ length: 5 }, (_, i) => ({
        input_ids: Array.from({ length: 12 }, (__, at) => ((5 * i + 3 * at) % 25) + 1),
        labels: Array.from({ length: 12 }, (_, at) => (at <= i ? (at * 7) % 25 : -100)),
        next_sentence_label: i % 2,
      }))
      // In float64, from what the model says of each row.
      const nll = (scores: ArrayLike<number>, label: number): number =>
        Math.log(Array.from(scores).reduce((sum, x) => sum + Math.exp(x), 0)) - scores[label]!
      const [words, pairs]: number[][] = [[], []]
      for (const { input_ids, labels, next_sentence_label } of rows) {
        const { prediction_logits: p, seq_relationship_logits: s } = await model({ input_ids: [input_ids] })
        const width = p.dims[2]!
        labels.forEach((label, at) => label !== -100 && words!.push(nll(p.data.subarray(at * width, (at + 1) * width), label)))
        pairs!.push(nll(s.data, next_sentence_label))
      }
      const mean = (values: number[]): number => values.reduce((sum, x) => sum + x) / values.length
      expect(words).toHaveLength(15)
      for (const per_device_eval_batch_size of [1, 2, 5]) {
        const { eval_loss } = await new Trainer({ model, args: { per_device_eval_batch_size } }).evaluate(rows)
        expect(Math.abs(eval_loss! - mean(words!) - mean(pairs!))).toBeLessThan(2e-6 * eval_loss!)
      }
    } finally {
      await model.dispose()
    }
  })

  it('stops early, and puts the best weights back', async () => {
    const output_dir = memoryFolder()
    const eval_dataset = features(9, 9)
    // A rate at which the loss soon grows.
    const args: TrainingArgumentsOptions = {
      output_dir,
      learning_rate: 0.05,
      max_grad_norm: 0,
      max_steps: 30,
      eval_strategy: 'steps',
      eval_steps: 2,
      load_best_model_at_end: true,
      save_total_limit: 1,
    }
    await trained({ args, eval_dataset, callbacks: [new EarlyStoppingCallback({ early_stopping_patience: 3 })] }, async (trainer, run) => {
      const { global_step } = await run()
      const seen = (await lines(output_dir)).flatMap(({ step, eval_loss }) =>
        eval_loss === undefined ? [] : [{ step: step!, loss: eval_loss }],
      )
      const best = seen.reduce((least, one) => (one.loss < least.loss ? one : least))
      expect(global_step).toBeLessThan(30)
      expect(global_step).toBe(best.step + 6)
      expect((await trainer.evaluate()).eval_loss).toBe(best.loss)
      expect((await output_dir.list()).filter((name) => name.startsWith('checkpoint'))).toContain(`checkpoint-${best.step}`)
    })
  })

  it('clips as PyTorch does, and tells the norm before', async () => {
    const model = await load()
    try {
      const free = new HeadTraining(model, { dropout: false })
      const inputs = { input_ids: [[1, 2, 3, 4]], labels: [1] }
      const gradients = await free.gradients(inputs)
      let squares = 0
      for (const values of gradients.values()) for (const x of values) squares += x * x
      const before = await weights(model)
      // With SGD-like moments (beta1 = 0, a huge eps) the update is lr * g / eps: clipping shows in it.
      const eps = 1e6
      const clipped = new HeadTraining(model, { dropout: false, weight_decay: 0, betas: [0, 0], eps, max_grad_norm: 0.25 })
      const { grad_norm } = await clipped.step(inputs, eps)
      expect(grad_norm / Math.sqrt(squares)).toBeCloseTo(1, 5)
      const after = await load()
      try {
        const plain = new HeadTraining(after, { dropout: false, weight_decay: 0, betas: [0, 0], eps })
        await plain.step(inputs, (eps * 0.25) / (grad_norm + 1e-6))
        const [a, b] = await Promise.all([free.gradients(inputs), new HeadTraining(after, { dropout: false }).gradients(inputs)])
        let [difference, size] = [0, 0]
        for (const [name, values] of a)
          values.forEach((x, i) => {
            difference += (x - b.get(name)![i]!) ** 2
            size += x * x
          })
        expect(Math.sqrt(difference / size)).toBeLessThan(1e-4)
        expect(await weights(model)).not.toBe(before)
      } finally {
        await after.dispose()
      }
    } finally {
      await model.dispose()
    }
  })

  it('rests at an abort, and the model stays usable', () =>
    trained({ callbacks: [{ on_step_end: (_, { global_step }) => void (global_step === 2 && abort.abort()) }] }, async (trainer) => {
      await expect(trainer.train({ signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' })
      expect((await trainer.evaluate(features(3))).eval_loss).toBeGreaterThan(0)
    }))
  const abort = new AbortController()
})

describe('schedules', () => {
  // transformers' get_linear_, get_cosine_ and get_constant_schedule_with_warmup: lr_lambda(step).
  it.each([
    ['linear', (s: number) => (s < 4 ? s / 4 : Math.max(0, (20 - s) / 16))],
    ['cosine', (s: number) => (s < 4 ? s / 4 : Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (s - 4)) / 16))))],
    ['constant_with_warmup', (s: number) => (s < 4 ? s / 4 : 1)],
    ['constant', () => 1],
  ] as const)('%s is that of transformers', (lr_scheduler_type, factor) => {
    for (let step = 0; step <= 20; step++) {
      const rate = learningRateAt(step, { learning_rate: 3e-4, lr_scheduler_type, warmup_steps: 4, total_steps: 20 })
      // Two roundings of the cosine of an angle that is itself rounded.
      expect(Math.abs(rate - 3e-4 * factor(step))).toBeLessThanOrEqual(3e-4 * 8 * Number.EPSILON)
    }
  })
})

describe('bad input', () => {
  const refused = (options: Partial<TrainerOptions>, message: RegExp): Promise<void> =>
    trained(options, async (_, run) => {
      await expect((async () => run())()).rejects.toThrow(message)
    })

  it.each<[string, unknown, RegExp]>([
    ['beyond the classes', 3, /step 1, epoch 0, batch of examples .*labels.*0 to 2.*3/s],
    ['below zero', -1, /step 1.*-1/s],
    ['no number', 'good', /labels\[0\]: expected a whole number from 0 to 2/],
    ['no whole number', 0.5, /0\.5/],
  ])('a label %s', (_, label, message) =>
    refused({ train_dataset: [{ input_ids: [1, 2], label } as Feature], args: { max_steps: 1 } }, message),
  )

  it('labels that are all ignored', () => refused({ train_dataset: [{ input_ids: [1, 2], label: -100 }], args: { max_steps: 1 } }, /label/))

  it('no data', () => expect(trained({ train_dataset: [] }, async (_, run) => run())).rejects.toThrow(/train_dataset/))

  it.each<[TrainingArgumentsOptions, RegExp]>([
    [{ learning_rate: -1 }, /learning_rate.*-1/s],
    [{ learning_rate: Infinity }, /learning_rate.*Infinity/s],
    [{ learning_rate: 1000 }, /learning_rate: expected a number above 0 and at most 10, got 1000/],
    [{ per_device_train_batch_size: 2 ** 30 }, /per_device_train_batch_size: expected a whole number from 1 to 1048576, got 1073741824/],
    [{ per_device_train_batch_size: 0 }, /per_device_train_batch_size.*0/s],
    [{ per_device_train_batch_size: 2.5 }, /per_device_train_batch_size.*2\.5/s],
    [{ max_steps: 1.5 }, /max_steps/],
    [{ lr_scheduler_type: 'lineer' as never }, /lr_scheduler_type.*linear/s],
    [{ learnig_rate: 1 } as never, /learnig_rate.*learning_rate/s],
  ])('the arguments %j', (args, message) => expect(trained({ args }, async () => undefined)).rejects.toThrow(message))

  it('a rate at which numbers overflow: says where, changes nothing, and the last checkpoint stands', async () => {
    const output_dir = memoryFolder()
    const args = { output_dir, learning_rate: 10, weight_decay: 1, lr_scheduler_type: 'constant' as const, max_steps: 200, save_steps: 1 }
    await trained({ args }, async (trainer, run) => {
      await expect(run()).rejects.toMatchObject({
        code: 'not_finite',
        message: expect.stringMatching(
          /step \d+, epoch \d+, batch of examples [\d, ]+: .*(not finite: |the largest is that of )(bert|classifier)\./s,
        ) as string,
      })
      const model = trainer.model as BertForSequenceClassification
      const names = (await output_dir.list()).filter((name) => name.startsWith('checkpoint'))
      const last = names.sort((a, b) => Number(a.slice(11)) - Number(b.slice(11))).at(-1)!
      const saved = await BertForSequenceClassification.fromPretrained(output_dir.source(last), { threads: 0 })
      expect(await weights(saved)).toBe(await weights(model))
      await saved.dispose()
    })
  })
})

describe('checkpoints', () => {
  const args = { max_steps: 4, save_steps: 2, per_device_train_batch_size: 4 }
  let folder: Folder & { files: Map<string, Uint8Array<ArrayBuffer>> }
  beforeAll(async () => {
    folder = open()
    await trained({ args: { ...args, output_dir: folder } }, (_, run) => run())
  })
  afterAll(() => folder.files.clear())

  /** A folder in memory whose files can be spoilt. */
  function open(files = new Map<string, Uint8Array<ArrayBuffer>>()): typeof folder {
    const inner = memoryFolder()
    const whole = { ...inner, files }
    return Object.assign(whole, {
      list: async () => [...new Set([...(await inner.list()), ...[...files.keys()].map((file) => file.split('/')[0]!)])],
      source: (name: string) => {
        const found = [...files]
          .filter(([file]) => file.startsWith(`${name}/`))
          .map(([file, bytes]) => [file.slice(name.length + 1), bytes])
        return memorySource(Object.fromEntries(found) as Record<string, Uint8Array<ArrayBuffer>>, `memory/${name}`)
      },
      sink: (name: string) => ({
        async write(file: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
          const parts: Uint8Array[] = []
          for await (const piece of pieces) parts.push(piece.slice())
          files.set(`${name}/${file}`, new Uint8Array(Buffer.concat(parts)))
        },
      }),
      rename: async (from: string, to: string) => {
        for (const [file, bytes] of [...files])
          if (file.startsWith(`${from}/`)) {
            files.set(to + file.slice(from.length), bytes)
            files.delete(file)
          }
      },
      remove: async (name: string) => {
        for (const file of [...files.keys()]) if (file.startsWith(`${name}/`)) files.delete(file)
      },
    })
  }

  const resume = (spoilt: Map<string, Uint8Array<ArrayBuffer>>, more: TrainingArgumentsOptions = {}): Promise<unknown> =>
    trained({ args: { ...args, ...more, output_dir: open(spoilt) } }, (trainer) =>
      trainer.train({ resume_from_checkpoint: 'checkpoint-2' }),
    )
  const spoil = (
    file: string,
    change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | undefined,
  ): Map<string, Uint8Array<ArrayBuffer>> => {
    const files = new Map([...folder.files].map(([name, bytes]) => [name, bytes.slice()]))
    const changed = change(files.get(`checkpoint-2/${file}`)!)
    if (changed === undefined) files.delete(`checkpoint-2/${file}`)
    else files.set(`checkpoint-2/${file}`, changed)
    return files
  }
  const text =
    (from: string | RegExp, to: string) =>
    (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
      new TextEncoder().encode(new TextDecoder().decode(bytes).replace(from, to))

  it('go on to the same weights', async () => {
    const again = open(spoil('config.json', (bytes) => bytes))
    await trained({ args: { ...args, output_dir: again } }, (trainer) => trainer.train({ resume_from_checkpoint: 'checkpoint-2' }))
    const [a, b] = [folder, again].map(({ files }) => Buffer.from(files.get('checkpoint-4/model.safetensors')!).toString('base64'))
    expect(b).toBe(a)
  })

  it.each<[string, string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | undefined, RegExp]>([
    ['without a state', 'trainer_state.json', () => undefined, /checkpoint-2\/trainer_state\.json/],
    ['of a newer version', 'trainer_state.json', text('"format_version": 2', '"format_version": 3'), /format_version.*3.*newer/s],
    [
      'of an older version',
      'trainer_state.json',
      text('"format_version": 2', '"format_version": 1'),
      /checkpoint-2\/trainer_state\.json: format_version: expected 2, got 1\. It is of an older bertlet: resume with that one, or load the weights with fromPretrained/,
    ],
    ['of another program', 'trainer_state.json', text(/"format_version": 2,/, ''), /format_version.*not a checkpoint of bertlet/s],
    ['whose counters are spoilt', 'trainer_state.json', text(/"beta1_power": [^,]*,/, ''), /counters.*beta1_power/s],
    ['without checksums', 'checksums.json', () => undefined, /checkpoint-2\/checksums\.json.*got none/],
    ['without its configuration', 'config.json', () => undefined, /checkpoint-2\/config\.json.*got none/],
    ['without an optimizer', 'optimizer.safetensors', () => undefined, /optimizer\.safetensors/],
    ['whose optimizer is cut', 'optimizer.safetensors', (bytes) => bytes.subarray(0, bytes.length - 8), /optimizer\.safetensors/],
    ['whose weights are cut', 'model.safetensors', (bytes) => bytes.subarray(0, bytes.length - 8), /model\.safetensors/],
    [
      'with a foreign moment',
      'optimizer.safetensors',
      (bytes) =>
        Uint8Array.from(
          Buffer.from(Buffer.from(bytes).toString('latin1').replace('classifier.bias.exp_avg"', 'klassifier.bias.exp_avg"'), 'latin1'),
        ),
      /tensor "klassifier\.bias\.exp_avg"/,
    ],
  ])('%s: refused by name', (_, file, change, message) => expect(resume(spoil(file, change))).rejects.toThrow(message))

  it('in which any bit has flipped: refused, naming the file, and the tensor', async () => {
    const next = random(11)
    const names = [...folder.files.keys()]
      .filter((name) => name.startsWith('checkpoint-2/'))
      .map((name) => name.slice('checkpoint-2/'.length))
    expect(names.sort()).toEqual(['checksums.json', 'config.json', 'model.safetensors', 'optimizer.safetensors', 'trainer_state.json'])
    let tensors = 0
    for (let i = 0; i < 60; i++) {
      const file = i < 20 ? 'model.safetensors' : i < 40 ? 'optimizer.safetensors' : names[i % names.length]!
      let [bit, name] = [0, '']
      const files = spoil(file, (bytes) => {
        bit = Math.floor(next() * bytes.length * 8)
        // The tensor in which it lies, if it lies in one.
        let at = 8 + new DataView(bytes.buffer).getUint32(0, true)
        if (file.endsWith('.safetensors'))
          for (const [each, { data }] of readSafetensors(bytes)) {
            if (bit >= at * 8) name = each
            at += data.byteLength
          }
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        return bytes
      })
      const error: unknown = await resume(files).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      const what = `bit ${bit} of ${file}`
      expect(error, what).toBeInstanceOf(BertletError)
      const { message } = error as BertletError
      if (name !== '') expect(message, what).toContain(`checkpoint-2/${file}: tensor "${name}": expected bytes with the checksum`)
      else if (file.endsWith('.safetensors')) expect(message, what).toContain(`${file}`)
      else expect(message, what).toContain('checkpoint-2')
      tensors += name === '' ? 0 : 1
    }
    expect(tensors).toBeGreaterThan(30)
  })

  it('whose signs have flipped in two places, or whose words have changed places: refused', async () => {
    const [last, first] = [(bytes: Uint8Array) => bytes.length - 4, (bytes: Uint8Array) => bytes.length - 8]
    for (const change of [
      (bytes: Uint8Array<ArrayBuffer>) => {
        for (const at of [first(bytes), last(bytes)]) bytes[at + 3]! ^= 0x80
        return bytes
      },
      (bytes: Uint8Array<ArrayBuffer>) => {
        const word = bytes.slice(first(bytes), last(bytes))
        bytes.copyWithin(first(bytes), last(bytes))
        bytes.set(word, last(bytes))
        return bytes
      },
    ])
      await expect(resume(spoil('model.safetensors', change))).rejects.toThrow(
        /model\.safetensors: tensor ".*": expected bytes with the checksum/,
      )
  })

  it('made with other arguments: the argument is named', () =>
    expect(
      resume(
        spoil('config.json', (bytes) => bytes),
        { seed: 7 },
      ),
    ).rejects.toThrow(/seed.*42.*7/s))

  it('a fresh training does not mix with them', () =>
    expect(trained({ args: { ...args, output_dir: folder } }, (_, run) => run())).rejects.toThrow(
      /output_dir.*checkpoint-4.*resume_from_checkpoint/s,
    ))

  it('a disk that fills while saving: the file is named, and what was whole stands', async () => {
    const files = new Map<string, Uint8Array<ArrayBuffer>>()
    const full = open(files)
    const { sink } = full
    full.sink = (name) => ({
      async write(file, pieces) {
        await sink(name).write(file, pieces)
        if (name.startsWith('checkpoint-4') && file === 'optimizer.safetensors')
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      },
    })
    await expect(trained({ args: { ...args, output_dir: full } }, (_, run) => run())).rejects.toMatchObject({
      code: 'write_failed',
      message: expect.stringMatching(
        /checkpoint-4\/optimizer\.safetensors.*ENOSPC.* within its first \d+ bytes\. Free some space/s,
      ) as string,
    })
    expect(new Set([...files.keys()].map((file) => file.split('/')[0]))).toEqual(new Set(['checkpoint-2']))
    const saved = await BertForSequenceClassification.fromPretrained(full.source('checkpoint-2'), { threads: 0 })
    await saved.dispose()
  })
})
