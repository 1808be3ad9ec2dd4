// Labels give a loss: held against the formula of transformers in float64, over the logits of the same call.
import type { BertModel } from '../../src/index.ts'
import {
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForNextSentencePrediction,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  type AnyModel,
  type AnyOutput,
  type ModelClass,
  type Tensor,
} from '../../src/index.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../support/models.ts'
import { check, rejects, same, type ConformanceCase } from './case.ts'

const batch = rectangle(sequences(4, { seed: 31, longest: 20 }))
const [ROWS, COLUMNS] = [4, batch.input_ids[0]!.length]
const lengths = batch.attention_mask.map((row) => row.reduce((a, b) => a + b, 0))

/** Row r of the last dimension. */
const row = ({ data, dims }: Tensor, r: number): number[] => [...data.subarray(r * dims.at(-1)!, (r + 1) * dims.at(-1)!)]
const nll = (logits: readonly number[], label: number): number => Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - logits[label]!
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** [B, L] of -100 with labels at some real tokens. */
const tokenLabels = (limit: number): number[][] =>
  batch.attention_mask.map((mask, r) => mask.map((kept, c) => (kept === 1 && (r + c) % 3 === 0 ? (r * 7 + c * 5) % limit : -100)))
const ofTokens = (logits: Tensor, labels: readonly (readonly number[])[]): number =>
  mean(labels.flatMap((list, r) => list.flatMap((label, c) => (label === -100 ? [] : [nll(row(logits, r * COLUMNS + c), label)]))))
const ofRows = (logits: Tensor, labels: readonly number[]): number => mean(labels.map((label, r) => nll(row(logits, r), label)))

interface LossCase {
  readonly type: unknown
  readonly config?: Record<string, unknown>
  readonly labels: Record<string, unknown>
  wanted(output: AnyOutput): number
}

const classes = [1, 0, 2, 1]
const several = [
  [1, 0, 1],
  [0, 0, 0],
  [1, 1, 1],
  [0, 1, 0],
]
const scores = [0.5, -1.25, 3, 0]

const CASES: Record<string, LossCase> = {
  'masked words': {
    type: BertForMaskedLM,
    labels: { labels: tokenLabels(120) },
    wanted: ({ logits }) => ofTokens(logits!, tokenLabels(120)),
  },
  'masked words and next sentence, summed': {
    type: BertForPreTraining,
    labels: { labels: tokenLabels(120), next_sentence_label: [0, 1, 1, 0] },
    wanted: (o) => ofTokens(o.prediction_logits!, tokenLabels(120)) + ofRows(o.seq_relationship_logits!, [0, 1, 1, 0]),
  },
  'next sentence': {
    type: BertForNextSentencePrediction,
    labels: { labels: { data: Int32Array.of(1, 1, 0, 1), dims: [4] } },
    wanted: ({ logits }) => ofRows(logits!, [1, 1, 0, 1]),
  },
  tokens: {
    type: BertForTokenClassification,
    config: { num_labels: 3 },
    labels: { labels: tokenLabels(3) },
    wanted: ({ logits }) => ofTokens(logits!, tokenLabels(3)),
  },
  'one class, as whole numbers in one column say': {
    type: BertForSequenceClassification,
    config: { num_labels: 3 },
    labels: { labels: classes },
    wanted: ({ logits }) => ofRows(logits!, classes),
  },
  'several labels, as a table says': {
    type: BertForSequenceClassification,
    config: { num_labels: 3 },
    labels: { labels: several },
    wanted: ({ logits }) => mean([...logits!.data].map((x, i) => Math.log(1 + Math.exp(x)) - x * several.flat()[i]!)),
  },
  'regression, as one output says': {
    type: BertForSequenceClassification,
    config: { num_labels: 1 },
    labels: { labels: scores },
    wanted: ({ logits }) => mean([...logits!.data].map((x, i) => (x - scores[i]!) ** 2)),
  },
  'regression of three numbers, as problem_type says': {
    type: BertForSequenceClassification,
    config: { num_labels: 3, problem_type: 'regression' },
    labels: { labels: { data: Float32Array.from(several.flat()), dims: [4, 3] } },
    wanted: ({ logits }) => mean([...logits!.data].map((x, i) => (x - several.flat()[i]!) ** 2)),
  },
  'answers; a position behind the row does not count': {
    type: BertForQuestionAnswering,
    labels: { start_positions: [lengths[0]! - 1, 0, COLUMNS, 0], end_positions: lengths.map((n) => n - 1) },
    wanted: ({ start_logits: start, end_logits: end }) => {
      const real = (logits: Tensor, r: number): number[] => row(logits, r).slice(0, lengths[r])
      const starts = [0, 1, 3].map((r) => nll(real(start!, r), [lengths[0]! - 1, 0, -1, 0][r]!))
      return (mean(starts) + mean(lengths.map((n, r) => nll(real(end!, r), n - 1)))) / 2
    },
  },
}

const load = (type: unknown, config: Record<string, unknown> = {}, budget = 1024): Promise<AnyModel> =>
  (type as ModelClass<AnyModel> & typeof BertModel).fromPretrained(memorySource(checkpoint(), 'tiny'), {
    threads: 1,
    initialize_missing: true,
    seed: 3,
    budget,
    ...config,
  })

function close(output: AnyOutput, wanted: number, what: string): void {
  const loss = output.loss!.tolist() as number
  same(output.loss!.dims, [], 'dims of the loss')
  // f32 sums of up to 80 losses, each good to 16 eps of its largest part.
  const tolerance = 2 ** -24 * 100 * Math.max(1, Math.abs(wanted))
  check(Math.abs(loss - wanted) <= tolerance, `${what}: expected a loss of ${wanted} within ${tolerance}, got ${loss}`)
}

export const LOSS_CASES: readonly ConformanceCase[] = [
  ...Object.entries(CASES).map(([name, { type, config, labels, wanted }]): ConformanceCase => ({
    name: `${name}: the formula, and the same bits however the batch is cut`,
    run: async () => {
      const losses: number[] = []
      for (const budget of [1, 25, 4096]) {
        const model = await load(type, config, budget)
        const output = await model({ ...batch, ...labels })
        close(output, wanted(output), name)
        losses.push(output.loss!.data[0]!)
        await model.dispose()
      }
      same(losses, [losses[0], losses[0], losses[0]], 'losses of three budgets')
    },
  })),
  {
    name: 'choices: the formula, with the choices of an example in one chunk',
    run: async () => {
      const model = (await load(BertForMultipleChoice, {}, 1)) as unknown as BertForMultipleChoice
      const choices = <T>(list: readonly T[]): T[][] => [list.slice(0, 2), list.slice(2)]
      const output = await model({ input_ids: choices(batch.input_ids), attention_mask: choices(batch.attention_mask), labels: [1, 0] })
      close(output, ofRows(output.logits, [1, 0]), 'choices')
      await model.dispose()
    },
  },
  {
    name: 'at logits_positions, the loss is that of the labels there',
    run: async () => {
      const model = await load(BertForMaskedLM)
      const labels = tokenLabels(120)
      const logits_positions = labels.map((list) => list.flatMap((label, c) => (label === -100 ? [] : [c])))
      const [all, some] = [await model({ ...batch, labels }), await model({ ...batch, labels, logits_positions })]
      close(some, ofTokens(all.logits!, labels), 'masked words')
      same(some.logits!.dims, [logits_positions.flat().length, 120], 'dims')
      await model.dispose()
    },
  },
  {
    name: 'an answer at a position that the mask removes does not count: it is beyond its text, as it would be alone',
    run: async () => {
      const qa = await load(BertForQuestionAnswering)
      const start_positions = [0, 0, 0, 0]
      const ended = async (where: (row: number) => number) =>
        (await qa({ ...batch, start_positions, end_positions: lengths.map((n, r) => (n < COLUMNS ? where(r) : 0)) })).loss!.data
      const [masked, beyond] = [await ended((r) => lengths[r]!), await ended(() => COLUMNS)]
      same(masked, beyond, 'loss')
      const row = lengths.findIndex((n) => n < COLUMNS)
      const alone = { input_ids: [batch.input_ids[row]!.slice(0, lengths[row])], start_positions: [0], end_positions: [lengths[row]!] }
      await rejects(() => qa(alone), /at least one that counts/, 'alone, nothing counts of the end')
      await qa.dispose()
    },
  },
  {
    name: 'labels that cannot be are refused, and the model stays usable',
    run: async () => {
      const model = await load(BertForSequenceClassification, { num_labels: 3 })
      const call = (labels: object): Promise<AnyOutput> => model({ ...batch, ...labels })
      await rejects(() => call({ labels: [0, 1, 3, 0] }), /labels\[2\]: expected a whole number from 0 to 2, or -100/, 'a class')
      await rejects(() => call({ labels: [0, 1] }), /labels: expected 4 numbers, one a row/, 'too few')
      await rejects(() => call({ labels: [-100, -100, -100, -100] }), /at least one that counts/, 'all ignored')
      await rejects(() => call({ labels: several.slice(1) }), /4 rows of 3 numbers/, 'a short table')
      await rejects(() => call({ labels: several.map((list) => list.map((x) => x * 2)) }), /a number from 0 to 1, got 2/, 'no probability')
      await rejects(() => call({ start_positions: [0, 0, 0, 0] }), /unknown option "start_positions"/, "another head's labels")
      same((await call({ labels: classes })).logits!.dims, [ROWS, 3], 'dims')
      await model.dispose()
      const qa = await load(BertForQuestionAnswering)
      await rejects(
        () => qa({ ...batch, start_positions: [0, 0, 0, 0] }),
        /start_positions and end_positions, got no end/,
        'half an answer',
      )
      await qa.dispose()
    },
  },
]
